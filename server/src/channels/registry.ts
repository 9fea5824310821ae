import { type Clock, systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ChannelType } from './channel-type.ts';
import type { Provider } from './provider.ts';
import { createSinkProvider, SINK } from './sink.ts';
import { createSmtpProvider } from './smtp.ts';
import { smtpHealth } from './smtp-outcome.ts';
import { createViewerProvider } from './viewer.ts';
import { createWebhookProvider } from './webhook.ts';
import { withBreaker } from './with-breaker.ts';

export type ProvidersOptions = {
  /** Absent: e-mail goes to the built-in viewer. */
  readonly smtpUrl?: string | undefined;
  /** The sender of mails that name none: `a@b.org` or `Name <a@b.org>`. */
  readonly mailFrom: string;
  readonly allowPrivateWebhooks: boolean;
  /** The secret with which an environment's webhooks are signed. */
  readonly webhookSigningSecret: (environmentId: number) => string;
  readonly log: Logger;
  readonly clock?: Clock;
};

export type Providers = {
  /** The way out for a channel; the viewer where there is none. */
  readonly forChannel: (channelType: ChannelType, provider: string) => Provider;
  readonly close: () => Promise<void>;
};

/** Builds every provider. A new one is a file beside this one and a line in the table. */
export function createProviders(options: ProvidersOptions): Providers {
  const { smtpUrl, mailFrom, allowPrivateWebhooks, webhookSigningSecret, log } = options;
  const clock = options.clock ?? systemClock;

  const byChannelType: Record<ChannelType, Provider> = {
    email:
      smtpUrl === undefined
        ? createViewerProvider('delivered')
        : withBreaker(createSmtpProvider({ url: smtpUrl, mailFrom }), {
            clock,
            log,
            healthOf: smtpHealth,
          }),
    sms: createViewerProvider('sent'),
    push: createViewerProvider('sent'),
    chat: createViewerProvider('sent'),
    // What had to wait for its send window: the feed shows it from now on.
    in_app_feed: createViewerProvider('delivered'),
    http: createWebhookProvider({
      allowPrivate: allowPrivateWebhooks,
      signingSecret: webhookSigningSecret,
      clock,
    }),
  };

  const sink = createSinkProvider();
  return {
    forChannel: (channelType, provider) => (provider === SINK ? sink : byChannelType[channelType]),
    close: async () => {
      await Promise.all(Object.values(byChannelType).map((provider) => provider.close()));
    },
  };
}
