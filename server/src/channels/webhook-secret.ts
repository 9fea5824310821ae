import { createHmac } from 'node:crypto';

/**
 * A function that gives each environment its own webhook signing secret, derived from one secret
 * of the installation, so that there is nothing to store and nothing to lose.
 */
export function deriveWebhookSigningSecret(
  installationSecret: string | Buffer,
): (environmentId: number) => string {
  return (environmentId) =>
    `whsec_${createHmac('sha256', installationSecret)
      .update(`webhook-signing/${environmentId}`)
      .digest('base64url')}`;
}
