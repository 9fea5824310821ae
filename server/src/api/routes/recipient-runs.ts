import { Type } from 'typebox';
import {
  booleanParameter,
  choicesParameter,
  dateParameter,
  type RawParameters,
  rawParameter,
  textParameter,
} from '../../feed/query-reader.ts';
import { isJsonObject } from '../../lib/json.ts';
import { pageRequest } from '../../recipients/page.ts';
import { parseCollection, parseId, type RecipientKey, USERS } from '../../recipients/reference.ts';
import { getRun } from '../../runs/get-run.ts';
import { listRuns, type RunFilter } from '../../runs/list-runs.ts';
import { runStatuses } from '../../runs/run-status.ts';
import { environmentContext } from '../access.ts';
import { RecipientReference } from '../message-schemas.ts';
import type { App } from '../route.ts';
import { AnyObject, answers, Nullable, openObject, PageInfo, pageQuery } from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Workflow recipient runs'];
const Time = Type.String({ format: 'date-time' });
const Status = Type.Enum([...runStatuses]);

const RunQuery = Type.Object(
  {
    ...pageQuery,
    workflow: Type.Optional(Type.String({ description: 'Key of the workflow.' })),
    status: Type.Optional(Type.Union([Type.Array(Status), Status])),
    tenant: Type.Optional(Type.String()),
    has_errors: Type.Optional(Type.Boolean()),
    recipient: Type.Optional(RecipientReference),
    starting_at: Type.Optional(Type.String({ description: 'Triggered at or after this time.' })),
    ending_at: Type.Optional(Type.String({ description: 'Triggered at or before this time.' })),
    workflow_run_id: Type.Optional(Type.String({ description: 'The runs of one trigger.' })),
  },
  openObject,
);

const runFields = {
  __typename: Type.Literal('WorkflowRecipientRun'),
  id: Type.String({ format: 'uuid' }),
  workflow_run_id: Type.String({ format: 'uuid' }),
  workflow: Type.String(),
  recipient: RecipientReference,
  actor: Nullable(RecipientReference),
  tenant: Nullable(Type.String()),
  status: Status,
  error_count: Type.Integer(),
  trigger_source: Type.Object({
    type: Type.Union([Type.Literal('api'), Type.Literal('schedule')]),
    cancellation_key: Type.Optional(Nullable(Type.String())),
    schedule_id: Type.Optional(Type.String({ format: 'uuid' })),
  }),
  inserted_at: Time,
  updated_at: Time,
};

const RunEvent = Type.Object({
  __typename: Type.Literal('WorkflowRecipientRunEvent'),
  id: Type.String(),
  event: Type.String(),
  status: Type.Enum(['ok', 'error']),
  step_ref: Nullable(Type.String()),
  step_type: Nullable(Type.String()),
  attempt: Type.Integer(),
  data: AnyObject,
  inserted_at: Time,
});

export const RunPage = Type.Object({
  items: Type.Array(Type.Object(runFields)),
  page_info: PageInfo,
});

export const RunDetail = Type.Object({ ...runFields, events: Type.Array(RunEvent) });

/** What each recipient's run of a workflow did. */
export function recipientRunRoutes(app: App, services: Services): void {
  app.get(
    '/v1/workflow_recipient_runs',
    {
      schema: {
        description:
          'Lists what workflows did for recipients, newest first. Runs that are still queued are not in it; they are found by their id.',
        tags,
        querystring: RunQuery,
        response: answers({
          200: RunPage,
        }),
      },
    },
    async (request, reply) => {
      const page = pageRequest(request.query);
      const filter = readFilter(request.query);
      const ctx = environmentContext(services, request);
      return reply.send(await listRuns(ctx, { filter, page }));
    },
  );

  app.get(
    '/v1/workflow_recipient_runs/:id',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'Reads what a workflow did for a recipient, step by step.',
        tags,
        params: Type.Object({ id: Type.String() }),
        response: answers({
          200: RunDetail,
        }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const run = await getRun(ctx, { id: request.params.id });
      return reply.send({ ...run, events: await services.hideSecrets(ctx, run.events) });
    },
  );
}

function readFilter(query: RawParameters): RunFilter {
  return {
    workflow: textParameter(query, 'workflow'),
    status: choicesParameter(query, 'status', runStatuses),
    tenant: textParameter(query, 'tenant'),
    hasErrors: booleanParameter(query, 'has_errors'),
    recipient: readRecipient(rawParameter(query, 'recipient')),
    startingAt: dateParameter(query, 'starting_at'),
    endingAt: dateParameter(query, 'ending_at'),
    workflowRunId: textParameter(query, 'workflow_run_id'),
  };
}

function readRecipient(value: unknown): RecipientKey | undefined {
  if (value === undefined) return undefined;
  if (!isJsonObject(value)) return { collection: USERS, id: parseId(value, 'recipient') };
  const { id, collection } = value;
  return {
    id: parseId(id, 'recipient.id'),
    collection:
      collection === undefined ? USERS : parseCollection(collection, 'recipient.collection'),
  };
}
