import { type CanaryAccount, prepareCanaryAccount } from '../accounts/canary-account.ts';
import { SINK } from '../channels/sink.ts';
import type { Context } from '../context.ts';
import { publishWorkflows } from '../control/publish.ts';
import { CANARY_WORKFLOW } from './canary.ts';

const CONTENT = {
  name: 'Canary',
  steps: [
    {
      ref: 'in_app_feed_1',
      type: 'channel',
      channel_key: 'in-app',
      template: { markdown_body: 'Chirp' },
    },
    {
      ref: 'http_1',
      type: 'channel',
      channel_key: 'sink',
      template: { method: 'post', url: 'https://canary.invalid/', body: 'Chirp' },
    },
  ],
};

/** The canary's account with its workflow published. */
export async function prepareCanary(ctx: Context): Promise<CanaryAccount> {
  const account = await prepareCanaryAccount(ctx, SINK);
  const environment = {
    id: account.environmentId,
    publicId: account.environmentPublicId,
    accountId: account.accountId,
    slug: 'production',
    settings: {},
  };
  await publishWorkflows({ ...ctx, environment }, [{ key: CANARY_WORKFLOW, content: CONTENT }]);
  return account;
}
