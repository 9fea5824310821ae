import type { Provider } from './provider.ts';

/** The provider of channels that deliver to nobody. */
export const SINK = 'belfry_sink';

/** Takes every message, so that the way to it can be watched. */
export function createSinkProvider(): Provider {
  return {
    name: SINK,
    deliver: async () => ({ kind: 'delivered', detail: {} }),
    close: async () => {},
  };
}
