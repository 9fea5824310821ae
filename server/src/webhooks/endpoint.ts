import type { EnvironmentContext } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import { type WebhookEventType, webhookEventName } from '../signals/webhook-event-types.ts';

export type EndpointState = 'enabled' | 'suspended' | 'disabled';

/** An endpoint as the API shows it; its secret is shown once, when it is made. */
export type WebhookEndpoint = {
  readonly id: string;
  readonly url: string;
  readonly description: string | null;
  readonly events: readonly WebhookEventType[];
  readonly status: EndpointState;
  /** Why it is not enabled, and since when. */
  readonly reason: string | null;
  readonly stopped_at: string | null;
  readonly failures_in_a_row: number;
  readonly failing_since: string | null;
  readonly last_error: string | null;
  readonly created_at: string;
  readonly updated_at: string;
};

export type EndpointRow = {
  readonly id: number;
  readonly public_id: string;
  readonly url: string;
  readonly description: string | null;
  readonly types: readonly number[];
  readonly state: EndpointState;
  readonly reason: string | null;
  readonly stopped_at: Date | null;
  readonly failures: number;
  readonly failing_since: Date | null;
  readonly last_error: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
};

export const ENDPOINT_COLUMNS = `id, public_id, url, description, types, state, reason, stopped_at, failures,
    failing_since, last_error, created_at, updated_at`;

const SECRET_BYTES = 32;

/** A secret of the form that Standard Webhooks has: `whsec_` and base64. */
export function newWebhookSecret(random: (bytes: number) => Buffer): string {
  return `whsec_${random(SECRET_BYTES).toString('base64')}`;
}

/** What a secret is sealed about. */
export function sealedFor(endpointId: string): string {
  return `webhook endpoint ${endpointId}`;
}

export function endpointJson(row: EndpointRow): WebhookEndpoint {
  return {
    id: row.public_id,
    url: row.url,
    description: row.description,
    events: row.types.flatMap((type) => webhookEventName(type) ?? []),
    status: row.state,
    reason: row.reason,
    stopped_at: row.stopped_at?.toISOString() ?? null,
    failures_in_a_row: row.failures,
    failing_since: row.failing_since?.toISOString() ?? null,
    last_error: row.last_error,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** The endpoints of an environment, oldest first. */
export async function listEndpoints(ctx: EnvironmentContext): Promise<WebhookEndpoint[]> {
  const rows = await ctx.db.query<EndpointRow>(
    `
    select ${ENDPOINT_COLUMNS}
    from webhook_endpoint
    where environment_id = $1
    order by id`,
    [ctx.environment.id],
  );
  return rows.map(endpointJson);
}

/** Throws `resource_missing`. */
export async function requireEndpoint(
  ctx: EnvironmentContext,
  input: { readonly id: string },
  db: Queryable = ctx.db,
): Promise<EndpointRow> {
  const { id } = input;
  const [row] = isUuid(id)
    ? await db.query<EndpointRow>(
        `
        select ${ENDPOINT_COLUMNS}
        from webhook_endpoint
        where environment_id = $1
          and public_id = $2`,
        [ctx.environment.id, id],
      )
    : [];
  if (!row) throw endpointMissing(ctx, id);
  return row;
}

export function endpointMissing(ctx: EnvironmentContext, id: string): BelfryError {
  return new BelfryError(
    'resource_missing',
    `There is no webhook ${JSON.stringify(id.slice(0, 100))} in ${ctx.environment.slug}`,
  );
}
