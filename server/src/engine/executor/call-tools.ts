import { createOutboundRequests } from '../../channels/outbound-requests.ts';
import type { Clock } from '../../lib/clock.ts';
import type { CallTools, ModelEndpoint } from '../../workflows/step.ts';

export type CallToolsOptions = {
  readonly clock: Clock;
  readonly allowPrivate: boolean;
  readonly model: ModelEndpoint | undefined;
};

/** What calls of steps may use, for all of them in a process. */
export function createCallTools({ clock, allowPrivate, model }: CallToolsOptions) {
  const guarded = createOutboundRequests({ allowPrivate, clock });
  const trusted = createOutboundRequests({ allowPrivate: true, clock });
  return {
    of: (idempotencyKey: string): CallTools => ({
      request: ({ isTrusted, ...request }) =>
        (isTrusted ? trusted : guarded).send({ ...request, idempotencyKey }),
      ...(model ? { model } : {}),
    }),
    close: async () => {
      await Promise.all([guarded.close(), trusted.close()]);
    },
  };
}
