import type { EventFilter } from '../log-store.ts';

/** Messages of a filter that are looked for by an index; when there are more, matches are frequent among all events. */
export const MOST_CANDIDATES = 2_000;

type Add = (value: unknown) => string;

/** A query for ids of messages in which everything is that the filter may be about, found by the index for its narrowest part. */
export function candidatesSql(filter: EventFilter, add: Add): string {
  const { environmentId, messageId, runId, recipient, tenant, workflow } = filter;
  const environment = add(environmentId);
  if (messageId !== undefined) {
    return `select m.id
      from message m
      where m.id = ${add(messageId)}
        and m.environment_id = ${environment}`;
  }
  if (runId !== undefined) {
    return `select m.id
      from recipient_run r
      join message m on m.environment_id = r.environment_id
        and m.recipient_id = r.recipient_id
        and m.recipient_run_id = r.id
      where r.id = ${add(runId)}
        and r.environment_id = ${environment}
        and r.recipient_id <> ''`;
  }
  if (recipient) {
    return `select m.id
      from message m
      where m.environment_id = ${environment}
        and m.recipient_id = ${add(recipient.id)}
        and m.collection = ${add(recipient.collection)}`;
  }
  if (tenant !== undefined && workflow === undefined) {
    return `select m.id
      from message m
      where m.environment_id = ${environment}
        and m.tenant = ${add(tenant)}`;
  }
  if (workflow !== undefined) {
    // Messages have no index for their workflow; their triggers do.
    const ofTenant = tenant === undefined ? '' : `and w.tenant = ${add(tenant)}`;
    return `select m.id
      from workflow_run w
      join recipient_run r on r.workflow_run_id = w.id
      join message m on m.environment_id = r.environment_id
        and m.recipient_id = r.recipient_id
        and m.recipient_run_id = r.id
      where w.environment_id = ${environment}
        and w.workflow_key = ${add(workflow)}
        ${ofTenant}
        and r.recipient_id <> ''`;
  }
  return `select m.id
      from message m
      where m.environment_id = ${environment}`;
}

/** Conditions on an event `e` and its message `m`. */
export function conditionsSql(filter: EventFilter, types: readonly number[], add: Add): string[] {
  const { recipient, tenant, workflow, channelId, messageId, runId } = filter;
  const conditions: string[] = [];
  if (filter.types) conditions.push(`e.type = any(${add(types)}::smallint[])`);
  if (messageId !== undefined) conditions.push(`e.message_id = ${add(messageId)}`);
  if (runId !== undefined) conditions.push(`m.recipient_run_id = ${add(runId)}`);
  if (recipient) {
    conditions.push(`m.recipient_id = ${add(recipient.id)}`);
    conditions.push(`m.collection = ${add(recipient.collection)}`);
  }
  if (tenant !== undefined) conditions.push(`m.tenant = ${add(tenant)}`);
  if (workflow !== undefined) conditions.push(`m.workflow_key = ${add(workflow)}`);
  if (channelId !== undefined) conditions.push(`m.channel_id = ${add(channelId)}`);
  return conditions;
}
