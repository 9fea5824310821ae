import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { EnvironmentContext } from '../../context.ts';
import { invalidField } from '../../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import { recordDone } from '../../operations/new-operation.ts';
import { operationAnswer } from '../../operations/operation.ts';
import { identifyMany } from '../../recipients/identify.ts';
import { parseRecipient } from '../../recipients/inline.ts';
import { pageRequest } from '../../recipients/page.ts';
import { parseCollection, parseId, type RecipientKey, USERS } from '../../recipients/reference.ts';
import { scheduleAnswers } from '../../schedules/answer.ts';
import { deleteSchedules, updateSchedules } from '../../schedules/change-schedules.ts';
import { createSchedules } from '../../schedules/create-schedules.ts';
import { listSchedules } from '../../schedules/list-schedules.ts';
import type { ScheduleRow } from '../../schedules/schedule.ts';
import { weekdays } from '../../workflows/repeat-rule.ts';
import { environmentContext } from '../access.ts';
import { callerOf, refuseQuarantined } from '../budget.ts';
import { BulkOperation } from '../message-schemas.ts';
import type { App } from '../route.ts';
import type { ScheduleBody } from '../schedule-body.ts';
import { parseBulkBody, parseCreateBody, parseIds, parseUpdateBody } from '../schedule-body.ts';
import {
  AnyObject,
  answers,
  Nullable,
  ObjectParams,
  openObject,
  PageInfo,
  pageQuery,
  Recipient,
  UserParams,
} from '../schemas.ts';
import type { Services } from '../services.ts';
import { refuseBadData, requirePublished } from '../trigger-workflow.ts';

const tags = ['Schedules'];
const Time = Type.String({ format: 'date-time' });

const RecipientRequest = Type.Union(
  [Type.String(), Type.Object({ id: Type.String() }, openObject)],
  {
    description: 'A user id, or a user or object to refer to or to identify first.',
  },
);

const Frequency = Type.Enum(['hourly', 'daily', 'weekly', 'monthly']);

const Repeat = Type.Object(
  {
    frequency: Frequency,
    interval: Type.Optional(Type.Integer({ default: 1 })),
    days: Type.Optional(
      Nullable(
        Type.Union([Type.String(), Type.Array(Type.String())], {
          description: '"weekdays", "weekends", or a list of mon, tue, wed, thu, fri, sat, sun.',
        }),
      ),
    ),
    hours: Type.Optional(Nullable(Type.Integer())),
    minutes: Type.Optional(Nullable(Type.Integer({ description: 'A multiple of 5.' }))),
    day_of_month: Type.Optional(Nullable(Type.Integer())),
  },
  openObject,
);

const timing = {
  repeats: Type.Optional(Nullable(Type.Array(Repeat))),
  scheduled_at: Type.Optional(
    Nullable(Type.String({ description: 'When it fires once, or from when on it repeats.' })),
  ),
  ending_at: Type.Optional(Nullable(Type.String({ description: 'Nothing fires after it.' }))),
  actor: Type.Optional(Nullable(RecipientRequest)),
  tenant: Type.Optional(Nullable(RecipientRequest)),
  data: Type.Optional(Nullable(Type.Object({}, openObject))),
};

export const Schedule = Type.Object({
  __typename: Type.Literal('Schedule'),
  id: Type.String({ format: 'uuid' }),
  workflow: Type.String(),
  recipient: Recipient,
  actor: Nullable(Recipient),
  tenant: Nullable(Type.String()),
  data: Nullable(AnyObject),
  repeats: Type.Array(
    Type.Object({
      __typename: Type.Literal('ScheduleRepeat'),
      frequency: Frequency,
      interval: Type.Integer(),
      days: Nullable(Type.Array(Type.Enum([...weekdays]))),
      hours: Nullable(Type.Integer()),
      minutes: Nullable(Type.Integer()),
      day_of_month: Nullable(Type.Integer()),
    }),
  ),
  scheduled_at: Nullable(Time),
  ending_at: Nullable(Time),
  last_occurrence_at: Nullable(Time),
  next_occurrence_at: Nullable(Time),
  inserted_at: Time,
  updated_at: Time,
});

const Ids = Type.Array(Type.String({ format: 'uuid' }));
export const SchedulePage = Type.Object({ entries: Type.Array(Schedule), page_info: PageInfo });

// These bodies are read by hand (schedule-body.ts); their schemas document.
const unchecked = () => () => true as const;

/** Schedules, in the wire format of Knock. */
export function scheduleRoutes(app: App, services: Services): void {
  async function create(
    request: FastifyRequest,
    { schedules, identify }: ScheduleBody,
  ): Promise<ScheduleRow[]> {
    const ctx = environmentContext(services, request);
    for (const { workflowKey, data } of schedules) {
      refuseBadData(await requirePublished(services, ctx.environment.id, workflowKey), data);
    }
    await identifyMany(ctx, identify);
    const apiKeyId = callerOf(request.access)?.keyId;
    const rows = await createSchedules(ctx, { schedules, apiKeyId });
    services.schedules?.wake();
    return rows;
  }

  app.post(
    '/v1/schedules',
    {
      config: { errors: ['workflow_missing', 'channel_invalid'] },
      validatorCompiler: unchecked,
      onRequest: refuseQuarantined(services),
      schema: {
        description:
          'Creates a schedule for each of 1 to 100 recipients: once at `scheduled_at`, or by `repeats` on the clock of the recipient.',
        tags,
        body: Type.Object({
          workflow: Type.String(),
          recipients: Type.Array(RecipientRequest),
          ...timing,
        }),
        response: answers({ 200: Type.Array(Schedule) }),
      },
    },
    async (request, reply) => {
      const rows = await create(request, parseCreateBody(bodyOf(request)));
      return reply.send(await scheduleAnswers(environmentContext(services, request), rows));
    },
  );

  app.post(
    '/v1/schedules/bulk/create',
    {
      config: { errors: ['workflow_missing', 'channel_invalid'] },
      validatorCompiler: unchecked,
      onRequest: refuseQuarantined(services),
      schema: {
        description:
          'Creates 1 to 1,000 schedules, each for its recipient, all or none. The operation is completed when it is answered.',
        tags,
        body: Type.Object({
          schedules: Type.Array(
            Type.Object({ workflow: Type.String(), recipient: RecipientRequest, ...timing }),
          ),
        }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const startedMs = services.clock.now();
      const rows = await create(request, parseBulkBody(bodyOf(request)));
      const done = { name: 'schedules.create', count: rows.length, startedMs };
      const operation = await recordDone(environmentContext(services, request), done);
      return reply.send(operationAnswer(operation));
    },
  );

  app.put(
    '/v1/schedules',
    {
      config: { errors: ['resource_missing', 'channel_invalid'] },
      validatorCompiler: unchecked,
      schema: {
        description:
          'Gives several schedules the same values; what is absent stays. A `scheduled_at` without `repeats` makes them fire once.',
        tags,
        body: Type.Object({ schedule_ids: Ids, ...timing }),
        response: answers({ 200: Type.Array(Schedule) }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { ids, change, identify } = parseUpdateBody(bodyOf(request));
      await identifyMany(ctx, identify);
      const rows = await updateSchedules(ctx, { ids, change });
      services.schedules?.wake();
      return reply.send(await scheduleAnswers(ctx, rows));
    },
  );

  app.delete(
    '/v1/schedules',
    {
      validatorCompiler: unchecked,
      schema: {
        description:
          'Deletes schedules and cancels what they have enqueued. Answers those that were there.',
        tags,
        body: Type.Object({ schedule_ids: Ids }),
        response: answers({ 200: Type.Array(Schedule) }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const rows = await deleteSchedules(ctx, { ids: parseIds(bodyOf(request)) });
      return reply.send(await scheduleAnswers(ctx, rows));
    },
  );

  async function list(
    ctx: EnvironmentContext,
    query: {
      readonly workflow?: string | undefined;
      readonly tenant?: string | undefined;
      readonly after?: string | undefined;
      readonly before?: string | undefined;
      readonly page_size?: number | undefined;
    },
    recipients?: readonly RecipientKey[],
  ): Promise<object> {
    const page = await listSchedules(ctx, {
      page: pageRequest(query),
      workflowKey: query.workflow,
      tenant: query.tenant,
      recipients,
    });
    return { entries: await scheduleAnswers(ctx, page.entries), page_info: page.pageInfo };
  }

  app.get(
    '/v1/schedules',
    {
      schema: {
        description: 'Lists the schedules of a workflow, the newest first, a page at a time.',
        tags,
        querystring: Type.Object({
          workflow: Type.String({ description: 'The key of the workflow.' }),
          tenant: Type.Optional(Type.String()),
          recipients: Type.Optional(Type.Array(RecipientRequest, { maxItems: 100 })),
          ...pageQuery,
        }),
        response: answers({ 200: SchedulePage }),
      },
    },
    async (request, reply) => {
      const { recipients } = request.query;
      const keys = recipients?.map(
        (recipient, i) => parseRecipient(recipient, `recipients[${i}]`).key,
      );
      return reply.send(await list(environmentContext(services, request), request.query, keys));
    },
  );

  const ofRecipient = {
    ...pageQuery,
    workflow: Type.Optional(Type.String()),
    tenant: Type.Optional(Type.String()),
  };

  app.get(
    '/v1/users/:user_id/schedules',
    {
      schema: {
        description: 'Lists the schedules of a user, the newest first, a page at a time.',
        tags,
        params: UserParams,
        querystring: Type.Object(ofRecipient),
        response: answers({ 200: SchedulePage }),
      },
    },
    async (request, reply) => {
      const key = { collection: USERS, id: parseId(request.params.user_id, 'user_id') };
      return reply.send(await list(environmentContext(services, request), request.query, [key]));
    },
  );

  app.get(
    '/v1/objects/:collection/:object_id/schedules',
    {
      schema: {
        description: 'Lists the schedules of an object, the newest first, a page at a time.',
        tags,
        params: ObjectParams,
        querystring: Type.Object(ofRecipient),
        response: answers({ 200: SchedulePage }),
      },
    },
    async (request, reply) => {
      const { params } = request;
      const key = {
        collection: parseCollection(params.collection, 'collection'),
        id: parseId(params.object_id, 'object_id'),
      };
      return reply.send(await list(environmentContext(services, request), request.query, [key]));
    },
  );
}

function bodyOf(request: FastifyRequest): JsonObject {
  if (isJsonObject(request.body)) return request.body;
  throw invalidField('body', 'must be a JSON object');
}
