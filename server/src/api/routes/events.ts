import { Type } from 'typebox';
import type { EnvironmentContext } from '../../context.ts';
import { messageEventTypes } from '../../feed/message-event-type.ts';
import { readPage } from '../../feed/page.ts';
import { dateParameter, type RawParameters, textParameter } from '../../feed/query-reader.ts';
import { recipientReference } from '../../feed/recipient-reference.ts';
import { invalidField } from '../../lib/errors.ts';
import { ksuidFromUuid, uuidFromKsuid } from '../../lib/ksuid.ts';
import { isUuid } from '../../lib/uuid.ts';
import { type Answered, createLogSearch } from '../../log-store/log-search.ts';
import type { EventFilter, LogEvent } from '../../log-store/log-store.ts';
import { USERS } from '../../recipients/reference.ts';
import { serviceContext } from '../access.ts';
import type { App } from '../route.ts';
import { AnyObject, answers, Nullable, PageInfo, pageQuery } from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;
const SEARCHED_MS = 7 * DAY_MS;
const COUNTED_MS = DAY_MS;
const MOST_SEARCHED_MS = 3_660 * DAY_MS;
const MOST_COUNTED_MS = 31 * DAY_MS;
/** Clocks of servers differ. */
const AHEAD_MS = 60_000;

const eventTypes = Object.keys(messageEventTypes);

const Event = Type.Object({
  __typename: Type.Literal('LogEvent'),
  id: Type.String(),
  type: Type.String({ description: '`message.sent`', examples: ['message.sent'] }),
  inserted_at: Type.String({ format: 'date-time' }),
  data: Nullable(AnyObject),
  message_id: Type.String(),
  channel_id: Type.String(),
  channel_type: Type.String({ examples: ['email'] }),
  recipient: Type.Union([
    Type.String({ description: 'A user’s id.' }),
    Type.Object({ id: Type.String(), collection: Type.String() }),
  ]),
  tenant: Nullable(Type.String()),
  workflow: Type.String(),
  workflow_run_id: Type.String(),
  workflow_recipient_run_id: Type.String(),
  step_ref: Type.String(),
});

const filterQuery = {
  environment: Type.Optional(Type.String({ description: 'Default: development' })),
  from: Type.Optional(Type.String({ description: 'Of this time or later.' })),
  until: Type.Optional(Type.String({ description: 'Before this time; now by default.' })),
  recipient: Type.Optional(
    Type.String({ description: 'A user’s id, or with collection an object’s.' }),
  ),
  collection: Type.Optional(Type.String()),
  tenant: Type.Optional(Type.String()),
  workflow: Type.Optional(Type.String({ description: 'Key of the workflow.' })),
  channel_id: Type.Optional(Type.String()),
  type: Type.Optional(
    Type.String({ description: 'What happened, one or more with commas: `sent,bounced`.' }),
  ),
  message_id: Type.Optional(Type.String()),
  workflow_recipient_run_id: Type.Optional(Type.String()),
};

const answeredFields = {
  data_as_of: Type.String({
    format: 'date-time',
    description: 'Everything that was committed before is in the answer.',
  }),
  lagging: Type.Boolean({ description: 'That is more than 30 s ago.' }),
  source: Type.String({
    enum: ['live', 'log_store'],
    description: 'The tables of the server, or the log store.',
  }),
};

/** What happened to messages, searched and counted, with a service token. */
export function eventRoutes(app: App, services: Services): void {
  const { clock, log } = services;
  const search = services.logSearch ?? createLogSearch({ url: undefined, clock, log });

  app.get(
    '/control/v1/events',
    {
      config: { access: 'service' },
      schema: {
        summary: 'Search events',
        description:
          'Events of messages of an environment, newest first: of the last seven days where `from` does not say otherwise. ' +
          'From the log store where one is configured; then `data_as_of` says how old the answer is.',
        tags: ['Control'],
        querystring: Type.Object({ ...filterQuery, ...pageQuery }),
        response: answers({
          200: Type.Object({
            entries: Type.Array(Event),
            page_info: PageInfo,
            ...answeredFields,
          }),
        }),
      },
    },
    async (request) => {
      const ctx = await serviceContext(services, request);
      const filter = readFilter(ctx, request.query, SEARCHED_MS, MOST_SEARCHED_MS);
      const answered = await search.searchEvents(ctx.db, filter, readPage(request.query));
      const { events, pageInfo } = answered.answer;
      const entries = await services.hideSecrets(ctx, events.map(eventJson));
      return { entries, page_info: pageInfo, ...answeredJson(answered) };
    },
  );

  app.get(
    '/control/v1/events/counts',
    {
      config: { access: 'service' },
      schema: {
        summary: 'Count events',
        description:
          'Events of messages by hour (UTC) and type: of the last day where `from` does not say otherwise, of 31 days at the most. ' +
          'Hours in which nothing happened are left out.',
        tags: ['Control'],
        querystring: Type.Object(filterQuery),
        response: answers({
          200: Type.Object({
            entries: Type.Array(
              Type.Object({
                hour: Type.String({ format: 'date-time', examples: ['2026-01-31T12:00:00.000Z'] }),
                type: Type.String({ examples: ['message.sent'] }),
                count: Type.Integer(),
              }),
            ),
            ...answeredFields,
          }),
        }),
      },
    },
    async (request) => {
      const ctx = await serviceContext(services, request);
      const filter = readFilter(ctx, request.query, COUNTED_MS, MOST_COUNTED_MS);
      const answered = await search.countsPerHour(ctx.db, filter);
      const entries = answered.answer.map((row) => ({ ...row, type: `message.${row.type}` }));
      return { entries, ...answeredJson(answered) };
    },
  );
}

function readFilter(
  { clock, environment }: EnvironmentContext,
  query: RawParameters,
  defaultMs: number,
  mostMs: number,
): EventFilter {
  const untilMs = dateParameter(query, 'until')?.getTime() ?? clock.now() + AHEAD_MS;
  const fromMs = dateParameter(query, 'from')?.getTime() ?? untilMs - defaultMs;
  if (fromMs >= untilMs) throw invalidField('from', 'must be before until');
  if (fromMs < 0) throw invalidField('from', 'must be after 1970');
  if (untilMs - fromMs > mostMs + AHEAD_MS) {
    throw invalidField('from', `may be at most ${mostMs / DAY_MS} days before until`);
  }
  const recipient = textParameter(query, 'recipient');
  const collection = textParameter(query, 'collection');
  if (collection !== undefined && recipient === undefined) {
    throw invalidField('collection', 'needs a recipient: the id of an object in it');
  }
  return {
    environmentId: environment.id,
    fromMs,
    untilMs,
    recipient:
      recipient === undefined ? undefined : { collection: collection ?? USERS, id: recipient },
    tenant: textParameter(query, 'tenant'),
    workflow: textParameter(query, 'workflow'),
    channelId: uuidParameter(query, 'channel_id'),
    types: typesParameter(query),
    messageId: messageParameter(query),
    runId: uuidParameter(query, 'workflow_recipient_run_id'),
  };
}

function typesParameter(query: RawParameters): readonly string[] | undefined {
  const text = textParameter(query, 'type');
  return text?.split(',').map((part) => {
    const type = part.trim().replace(/^message\./, '');
    if (!eventTypes.includes(type)) {
      throw invalidField('type', `must be one or more of ${eventTypes.join(', ')}`);
    }
    return type;
  });
}

function messageParameter(query: RawParameters): string | undefined {
  const text = textParameter(query, 'message_id');
  if (text === undefined) return undefined;
  const uuid = uuidFromKsuid(text);
  if (uuid === undefined) throw invalidField('message_id', 'is not the id of a message');
  return uuid;
}

function uuidParameter(query: RawParameters, name: string): string | undefined {
  const text = textParameter(query, name);
  if (text !== undefined && !isUuid(text)) throw invalidField(name, 'must be a UUID');
  return text?.toLowerCase();
}

function eventJson(event: LogEvent) {
  return {
    __typename: 'LogEvent' as const,
    id: ksuidFromUuid(event.id),
    type: `message.${event.type}`,
    inserted_at: event.insertedAt,
    data: event.data,
    message_id: ksuidFromUuid(event.messageId),
    channel_id: event.channelId,
    channel_type: event.channelType,
    recipient: recipientReference(event.collection, event.recipientId),
    tenant: event.tenant,
    workflow: event.workflow,
    workflow_run_id: event.workflowRunId,
    workflow_recipient_run_id: event.recipientRunId,
    step_ref: event.stepRef,
  };
}

const answeredJson = ({ dataAsOfMs, lagging, source }: Answered<unknown>) => ({
  data_as_of: new Date(dataAsOfMs).toISOString(),
  lagging,
  source,
});
