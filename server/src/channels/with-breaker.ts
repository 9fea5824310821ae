import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { abandoned, admit, type Breaker, closedBreaker, failed, succeeded } from './breaker.ts';
import type { DeliveryOutcome, Provider } from './provider.ts';

export type WithBreakerOptions = {
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether an outcome says that the provider as a whole cannot be used. */
  readonly isOutage: (outcome: DeliveryOutcome) => boolean;
};

/**
 * The provider behind a breaker: while it is open, messages are told to come back instead of
 * queueing up for a server that is known to be dead.
 */
export function withBreaker(provider: Provider, options: WithBreakerOptions): Provider {
  const { clock, log, isOutage } = options;
  let breaker: Breaker = closedBreaker;

  function become(next: Breaker, outcome: DeliveryOutcome): void {
    const wasClosed = breaker.kind === 'closed';
    breaker = next;
    if (wasClosed && next.kind === 'open') {
      log.warn({ provider: provider.name, outcome }, 'provider unusable, deliveries wait');
    } else if (!wasClosed && next.kind === 'closed') {
      log.info({ provider: provider.name }, 'provider usable again');
    }
  }

  return {
    name: provider.name,
    deliver: async (message, signal) => {
      const admission = admit(breaker, clock.now());
      breaker = admission.breaker;
      if (admission.refusedForMs !== undefined) {
        return {
          kind: 'retry',
          code: 'provider_unavailable',
          afterMs: admission.refusedForMs,
          detail: { reason: `${provider.name} failed several times in a row; not tried` },
        };
      }
      const outcome = await provider.deliver(message, signal);
      if (isOutage(outcome)) become(failed(breaker, clock.now()), outcome);
      else if (outcome.kind === 'retry' && outcome.code === 'delivery_aborted') {
        breaker = abandoned(breaker, clock.now());
      } else become(succeeded(), outcome);
      return outcome;
    },
    close: provider.close,
  };
}
