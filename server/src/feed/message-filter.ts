import { invalidField } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import {
  categoryCondition,
  timeConditions,
  triggerDataConditions,
  type Values,
} from './conditions.ts';
import { deliveryStatuses, deliveryStatusNumber } from './delivery-status.ts';
import { readTimeRange } from './feed-filter.ts';
import { DELIVERY_STATUS, messageUuids } from './load-messages.ts';
import {
  choicesParameter,
  type RawParameters,
  textParameter,
  textsParameter,
} from './query-reader.ts';
import { triggerDataParameter } from './trigger-data.ts';

export const engagementFilters = [
  'seen',
  'unseen',
  'read',
  'unread',
  'archived',
  'unarchived',
  'link_clicked',
  'interacted',
] as const;

export type EngagementFilter = (typeof engagementFilters)[number];

export const engagementConditions: Readonly<Record<EngagementFilter, string>> = {
  seen: 'm.seen_at is not null',
  unseen: 'm.seen_at is null',
  read: 'm.read_at is not null',
  unread: 'm.read_at is null',
  archived: 'm.archived_at is not null',
  unarchived: 'm.archived_at is null',
  link_clicked: 'm.link_clicked_at is not null',
  interacted: 'm.interacted_at is not null',
};

const MAX_IDS = 50;

/** Makes the conditions of a message list, once the statement's values are known. */
export type MessageConditions = (values: Values) => string[];

/** The filters of `GET /v1/messages` in these parameters. Throws `invalid_params`. */
export function readMessageFilter(parameters: RawParameters): MessageConditions {
  const tenant = textParameter(parameters, 'tenant');
  const channelId = uuidParameter(parameters, 'channel_id');
  const runId = uuidParameter(parameters, 'workflow_run_id');
  const recipientRunId = uuidParameter(parameters, 'workflow_recipient_run_id');
  const source = textParameter(parameters, 'source');
  const statuses = choicesParameter(parameters, 'status', deliveryStatuses);
  const engagements = choicesParameter(parameters, 'engagement_status', engagementFilters);
  const messageIds = textsParameter(parameters, 'message_ids');
  const categories = textsParameter(parameters, 'workflow_categories');
  const triggerData = triggerDataParameter(parameters);
  const range = readTimeRange(parameters);
  if (messageIds && messageIds.length > MAX_IDS) {
    throw invalidField('message_ids', `may have at most ${MAX_IDS} ids`);
  }
  return (values) => [
    ...(tenant === undefined ? [] : [`m.tenant = ${values.add(tenant)}`]),
    ...(channelId === undefined ? [] : [`m.channel_id = ${values.add(channelId)}`]),
    ...(runId === undefined ? [] : [`m.workflow_run_id = ${values.add(runId)}`]),
    ...(recipientRunId === undefined ? [] : ofRecipientRun(values.add(recipientRunId))),
    ...(source === undefined ? [] : [`m.workflow_key = ${values.add(source)}`]),
    ...(statuses
      ? [`${DELIVERY_STATUS} = any(${values.add(statuses.map(deliveryStatusNumber))}::int[])`]
      : []),
    ...(engagements ?? []).map((engagement) => engagementConditions[engagement]),
    ...(messageIds ? [`m.id = any(${values.add(messageUuids(messageIds))}::uuid[])`] : []),
    ...(categories ? [categoryCondition(categories, values)] : []),
    ...(triggerData ? triggerDataConditions(triggerData, values) : []),
    ...timeConditions(range, values),
  ];
}

/** Messages are found by their recipient. */
function ofRecipientRun(id: string): string[] {
  return [
    `m.recipient_run_id = ${id}`,
    `m.recipient_id = (select run.recipient_id from recipient_run run where run.id = ${id})`,
  ];
}

function uuidParameter(parameters: RawParameters, name: string): string | undefined {
  const text = textParameter(parameters, name);
  if (text !== undefined && !isUuid(text)) throw invalidField(name, 'must be a UUID');
  return text;
}
