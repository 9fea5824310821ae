/**
 * Whether an activity `a` of a closed window counts: a cancellation, or a deletion of the recipient, takes it out if it
 * came between its acceptance and the end of the window. The names are columns: of the window's environment, workflow, recipient and end.
 */
export function keptActivity(window: {
  readonly environmentId: string;
  readonly workflowKey: string;
  readonly collection: string;
  readonly recipientId: string;
  readonly closedAt: string;
}): string {
  return `(a.cancellation_key is null or not exists (
      select
      from cancellation c
      where c.environment_id = ${window.environmentId}
        and c.workflow_key = ${window.workflowKey}
        and c.cancellation_key = a.cancellation_key
        and c.cancelled_at >= a.accepted_at
        and c.cancelled_at <= ${window.closedAt}
        and (c.recipient_id is null or (c.recipient_id = ${window.recipientId} and c.collection = ${window.collection}))
    )) and not exists (
      select
      from deletion d
      where d.environment_id = ${window.environmentId}
        and d.collection = ${window.collection}
        and d.recipient_id = ${window.recipientId}
        and d.deleted_at > a.accepted_at
        and d.deleted_at <= ${window.closedAt}
    )`;
}
