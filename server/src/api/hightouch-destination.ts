import { SYNC_ROWS, syncMembers } from '../broadcasts/sync-members.ts';
import type { EnvironmentContext } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { parseId } from '../recipients/reference.ts';
import { listParam, objectParam, type RpcMethod, type RpcParams } from './json-rpc.ts';

const OBJECT = { id: 'audiences', label: 'Audiences' };

const MODES = [
  {
    id: 'insert',
    label: 'Insert only',
    description: 'Rows that are new in the model are added to the audience.',
  },
  {
    id: 'mirror',
    label: 'Mirror',
    description: 'Rows that are new are added, rows that are gone are removed.',
  },
];

const FIELDS = [
  { id: 'user_id', label: 'User ID', type: 'STRING', identifier: true },
  { id: 'tenant', label: 'Tenant', type: 'STRING' },
];

const OPTIONS = {
  schema: {
    type: 'object',
    required: ['audience_key'],
    properties: {
      audience_key: {
        title: 'Audience Key',
        description: 'The key of the audience. It is made if it does not exist.',
        type: 'string',
      },
    },
  },
  uiSchema: {},
};

/** More than a user id and a tenant are no fields of ours; one more than these is a mistake. */
const MAPPINGS = 100;

type Sync = {
  readonly audience: string;
  readonly mode: 'insert' | 'mirror';
  /** The columns that hold the two fields. */
  readonly userColumn: string;
  readonly tenantColumn: string | undefined;
};

/** The methods of an embedded destination of Hightouch (https://hightouch.com/docs/destinations/custom). */
export const hightouchMethods: ReadonlyMap<string, RpcMethod> = new Map<string, RpcMethod>([
  ['list_objects', () => ({ objects: [OBJECT] })],
  ['list_modes', () => ({ modes: MODES })],
  ['list_fields', () => ({ fields: FIELDS })],
  ['list_options', () => ({ options: OPTIONS })],
  ['validate', validate],
  ['behavior', behavior],
  ['add', (ctx, params) => sync(ctx, 'add', params)],
  ['remove', (ctx, params) => sync(ctx, 'remove', params)],
]);

function validate(_: EnvironmentContext, { configuration }: RpcParams): object {
  try {
    parseSync(configuration);
    return { errors: [] };
  } catch (error) {
    if (error instanceof BelfryError) return { errors: [error.message] };
    throw error;
  }
}

function behavior(_: EnvironmentContext, { configuration }: RpcParams): object {
  const { mode } = parseSync(configuration);
  return {
    batchSize: SYNC_ROWS,
    operations: { add: true, change: false, remove: mode === 'mirror' },
    skipInitialRun: false,
  };
}

async function sync(
  ctx: EnvironmentContext,
  change: 'add' | 'remove',
  params: RpcParams,
): Promise<object> {
  const { audience, mode, userColumn, tenantColumn } = parseSync(params.configuration);
  if (change === 'remove' && mode !== 'mirror') {
    throw invalidField('configuration.mode', 'must be "mirror" to remove members');
  }
  const { idColumn } = params;
  if (typeof idColumn !== 'string') throw invalidField('idColumn', 'must be a string');
  const rows = listParam(params.rows, 'rows', SYNC_ROWS).map((row) =>
    isJsonObject(row) ? row : {},
  );
  const problems = await syncMembers(ctx, {
    change,
    create: true,
    rows: rows.map((row) => ({
      audience,
      user: row[userColumn],
      tenant: tenantColumn === undefined ? undefined : row[tenantColumn],
    })),
  });
  return {
    rejectedRows: rows.flatMap((row, index) => {
      const reason = problems[index];
      return reason === undefined ? [] : [{ id: row[idColumn] ?? null, reason }];
    }),
  };
}

/**
 * The configuration that the form has made: which column holds which field, and the options beside them. A field that
 * identifies is in `identifierMapping`, and may be in `mappings` as well.
 */
function parseSync(value: unknown): Sync {
  const configuration = objectParam(value, 'configuration');
  const { mode, identifierMapping: identifier } = configuration;
  if (mode !== 'insert' && mode !== 'mirror') {
    throw invalidField('configuration.mode', 'must be "insert" or "mirror"');
  }
  const mappings = listParam(
    configuration.mappings ?? [],
    'configuration.mappings',
    MAPPINGS,
  ).filter(isJsonObject);
  const columnOf = (name: string): unknown => mappings.find(({ to }) => to === name)?.from;
  return {
    audience: parseId(configuration.audience_key, 'configuration.audience_key'),
    mode,
    userColumn: parseColumn(
      isJsonObject(identifier) ? identifier.from : columnOf('user_id'),
      'user_id',
    ),
    tenantColumn: mappings.some(({ to }) => to === 'tenant')
      ? parseColumn(columnOf('tenant'), 'tenant')
      : undefined,
  };
}

function parseColumn(from: unknown, name: string): string {
  if (typeof from === 'string' && from !== '') return from;
  throw invalidField(`configuration.mappings: ${name}`, 'must be mapped from a column');
}
