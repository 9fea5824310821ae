import { SYNC_ROWS, syncMembers } from '../broadcasts/sync-members.ts';
import type { EnvironmentContext } from '../context.ts';
import { invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { listParam, objectParam, type RpcMethod, type RpcParams } from './json-rpc.ts';

const OBJECT = { object_api_name: 'audiences', label: 'Audiences' };

const FIELDS = [
  field({ field_api_name: 'user_id', label: 'User ID', identifier: true }),
  field({ field_api_name: 'audience_key', label: 'Audience Key', identifier: false }),
];

// 10 calls a second are far below the 60 that the endpoint takes with Knock's limits.
const SPEED = {
  maximum_batch_size: SYNC_ROWS,
  maximum_parallel_batches: 4,
  maximum_records_per_second: 10 * SYNC_ROWS,
};

/** What the operation of a batch does: a mirror comes as batches of `upsert` and of `delete`. */
const CHANGES: ReadonlyMap<unknown, 'add' | 'remove'> = new Map([
  ['insert', 'add'],
  ['upsert', 'add'],
  ['delete', 'remove'],
]);

/** The methods of a custom destination of Census, version 1 (https://developers.getcensus.com/custom-destinations). */
export const censusMethods: ReadonlyMap<string, RpcMethod> = new Map<string, RpcMethod>([
  ['test_connection', () => ({ success: true })],
  ['list_objects', () => ({ objects: [OBJECT] })],
  [
    'list_fields',
    (_, params) => {
      requireAudiences(params, 'object');
      return { fields: FIELDS };
    },
  ],
  [
    'supported_operations',
    (_, params) => {
      requireAudiences(params, 'object');
      return { operations: ['insert', 'mirror'] };
    },
  ],
  ['get_sync_speed', () => SPEED],
  ['sync_batch', syncBatch],
]);

async function syncBatch(ctx: EnvironmentContext, params: RpcParams): Promise<object> {
  const plan = objectParam(params.sync_plan, 'sync_plan');
  requireAudiences(plan, 'sync_plan.object');
  const change = CHANGES.get(plan.operation);
  if (!change) {
    throw invalidField('sync_plan.operation', 'must be "insert", "upsert" or "delete"');
  }
  const records = listParam(params.records, 'records', SYNC_ROWS).map((record) =>
    isJsonObject(record) ? record : {},
  );
  const rows = records.map(({ audience_key: audience, user_id: user }) => ({ audience, user }));
  // An audience that is missing is the mistake of whoever typed its key.
  const problems = await syncMembers(ctx, { change, create: false, rows });
  return {
    record_results: records.map(({ user_id: user }, index) => {
      const problem = problems[index];
      const identifier = user ?? null;
      return problem === undefined
        ? { identifier, success: true }
        : { identifier, success: false, error_message: problem };
    }),
  };
}

function requireAudiences(params: RpcParams, name: string): void {
  const object = objectParam(params.object, name);
  if (object.object_api_name === OBJECT.object_api_name) return;
  throw invalidField(`${name}.object_api_name`, `must be "${OBJECT.object_api_name}"`);
}

function field(own: {
  readonly field_api_name: string;
  readonly label: string;
  readonly identifier: boolean;
}) {
  return {
    ...own,
    required: true,
    createable: true,
    updateable: true,
    type: 'string',
    array: false,
  };
}
