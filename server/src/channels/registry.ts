import { type Clock, systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ChannelType } from './channel-type.ts';
import { createMailViewerProvider } from './mail-viewer.ts';
import type { Provider } from './provider.ts';
import { createSinkProvider, SINK } from './sink.ts';
import { createSmtpProvider } from './smtp.ts';
import { smtpHealth } from './smtp-outcome.ts';
import { createWebhookProvider } from './webhook.ts';
import { withBreaker } from './with-breaker.ts';

export type ProvidersOptions = {
  /** Absent: e-mail goes to the built-in mail viewer. */
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
  /** The way out for a channel; one that refuses everything where there is none. */
  readonly forChannel: (channelType: ChannelType, provider: string) => Provider;
  readonly close: () => Promise<void>;
};

/** Builds every provider. A new one is a file beside this one and a line in the table. */
export function createProviders(options: ProvidersOptions): Providers {
  const { smtpUrl, mailFrom, allowPrivateWebhooks, webhookSigningSecret, log } = options;
  const clock = options.clock ?? systemClock;

  const byChannelType: Partial<Record<ChannelType, Provider>> = {
    email:
      smtpUrl === undefined
        ? createMailViewerProvider()
        : withBreaker(createSmtpProvider({ url: smtpUrl, mailFrom }), {
            clock,
            log,
            healthOf: smtpHealth,
          }),
    http: createWebhookProvider({
      allowPrivate: allowPrivateWebhooks,
      signingSecret: webhookSigningSecret,
      clock,
    }),
  };

  const sink = createSinkProvider();
  return {
    forChannel: (channelType, provider) =>
      (provider === SINK ? sink : undefined) ??
      byChannelType[channelType] ??
      missingProvider(channelType, provider),
    close: async () => {
      await Promise.all(Object.values(byChannelType).map((provider) => provider.close()));
    },
  };
}

function missingProvider(channelType: ChannelType, name: string): Provider {
  const reason = `there is no provider "${name}" for channels of type ${channelType}`;
  return {
    name,
    deliver: async () => ({ kind: 'rejected', code: 'provider_missing', detail: { reason } }),
    close: async () => {},
  };
}
