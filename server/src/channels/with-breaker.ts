import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { abandoned, admit, type Breaker, closedBreaker, failed, succeeded } from './breaker.ts';
import type { DeliveryOutcome, Provider } from './provider.ts';

export type WithBreakerOptions = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly healthOf: (outcome: DeliveryOutcome) => ProviderHealth;
};

/**
 * What an outcome says about the provider as a whole: it answered, it cannot be used, or nothing,
 * because it was not asked or we hung up.
 */
export type ProviderHealth = 'answered' | 'outage' | 'unknown';

/**
 * The provider behind a breaker: while it is open, messages are told to come back instead of
 * queueing up for a server that is known to be dead.
 */
export function withBreaker(provider: Provider, options: WithBreakerOptions): Provider {
  const { clock, log, healthOf } = options;
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
      switch (healthOf(outcome)) {
        case 'answered':
          become(succeeded(), outcome);
          break;
        case 'outage':
          become(failed(breaker, clock.now()), outcome);
          break;
        case 'unknown':
          breaker = abandoned(breaker, clock.now());
      }
      return outcome;
    },
    close: provider.close,
  };
}
