import { createHash } from 'node:crypto';
import type { TriggerRequest } from '../../src/engine/engine.ts';

/** A trigger with plain values where nothing else is said. */
export function triggerRequest(request: Partial<TriggerRequest> = {}): TriggerRequest {
  return {
    environmentId: 1,
    workflowKey: 'welcome',
    versionId: 1,
    recipients: [{ recipient: 'ada' }],
    actor: null,
    tenant: null,
    data: {},
    cancellationKey: null,
    settings: {},
    ...request,
  };
}

/** `count` users, `user-0` and so on. */
export function users(count: number, prefix = 'user'): { recipient: string }[] {
  return Array.from({ length: count }, (_, i) => ({ recipient: `${prefix}-${i}` }));
}

let requests = 0;

/** An idempotency key as a request with these parameters brings it. */
export function idempotencyKey(
  key: string,
  parameters = 'same',
): NonNullable<TriggerRequest['idempotency']> {
  requests += 1;
  return {
    key,
    requestHash: createHash('sha256').update(parameters).digest(),
    requestId: `request-${requests}`,
  };
}
