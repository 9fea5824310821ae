import { randomBytes, randomUUID } from 'node:crypto';
import { webhookRequest } from '../channels/webhook-request.ts';
import type { EnvironmentContext } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { isWebhookEventType, webhookEventTypes } from '../signals/webhook-event-types.ts';
import {
  ENDPOINT_COLUMNS,
  type EndpointRow,
  endpointJson,
  endpointMissing,
  newWebhookSecret,
  requireEndpoint,
  sealedFor,
  type WebhookEndpoint,
} from './endpoint.ts';

export const MAX_ENDPOINTS = 20;
export const MAX_URL_CHARACTERS = 2_048;
export const MAX_REASON_CHARACTERS = 500;

/** After a new secret was made, requests are signed with the one before too. */
const PREVIOUS_SECRET_MS = 24 * 3_600_000;

export type EndpointContext = EnvironmentContext & {
  readonly secrets: SecretBox;
  readonly allowPrivate: boolean;
};

export type EndpointSettings = {
  readonly url?: string | undefined;
  /** Absent: as it is, all for a new one. */
  readonly events?: readonly string[] | undefined;
  readonly description?: string | null | undefined;
};

export type WithSecret = WebhookEndpoint & { readonly secret: string };

/** Adds an endpoint. Throws `invalid_params`, and `conflict` when there are too many. */
export async function createEndpoint(
  ctx: EndpointContext,
  input: EndpointSettings & { readonly url: string },
): Promise<WithSecret> {
  refuseBadUrl(ctx, input.url);
  const types = typesOf(input.events ?? Object.keys(webhookEventTypes));
  const publicId = randomUUID();
  const secret = newWebhookSecret(randomBytes);
  return ctx.db.transaction(async (tx) => {
    // One at a time, so that they can be counted; rows that refer to the environment can still be written.
    await tx.query('select id from environment where id = $1 for no key update', [
      ctx.environment.id,
    ]);
    const [row] = await tx.query<EndpointRow>(
      `
      insert into webhook_endpoint (public_id, environment_id, url, description, types, secret, created_at, updated_at)
      select $1, $2, $3, $4, $5, $6, $7, $7
      where (select count(*) from webhook_endpoint where environment_id = $2) < ${MAX_ENDPOINTS}
      returning ${ENDPOINT_COLUMNS}`,
      [
        publicId,
        ctx.environment.id,
        input.url.trim(),
        input.description ?? null,
        types,
        ctx.secrets.seal(secret, sealedFor(publicId)),
        new Date(ctx.clock.now()),
      ],
    );
    if (row) return { ...endpointJson(row), secret };
    throw new BelfryError(
      'conflict',
      `${ctx.environment.slug} has ${MAX_ENDPOINTS} webhooks already, and may have no more; remove one first`,
    );
  });
}

/** Changes what is given. Throws `invalid_params` and `resource_missing`. */
export async function changeEndpoint(
  ctx: EndpointContext,
  input: EndpointSettings & { readonly id: string },
): Promise<WebhookEndpoint> {
  const { id, url, events, description } = input;
  if (url !== undefined) refuseBadUrl(ctx, url);
  await requireEndpoint(ctx, { id });
  return update(
    ctx,
    id,
    `url = coalesce($4, url),
        types = coalesce($5::smallint[], types),
        description = case when $6 then $7 else description end`,
    [
      url?.trim() ?? null,
      events === undefined ? null : typesOf(events),
      description !== undefined,
      description ?? null,
    ],
  );
}

/** From now on its events are neither sent nor recorded. Throws `resource_missing`. */
export async function disableEndpoint(
  ctx: EnvironmentContext,
  input: { readonly id: string; readonly reason?: string | undefined },
): Promise<WebhookEndpoint> {
  const reason = input.reason?.trim() || 'disabled by a person';
  return update(ctx, input.id, `state = 'disabled', reason = $4, stopped_at = $3`, [
    reason.slice(0, MAX_REASON_CHARACTERS),
  ]);
}

/** Its events are sent again, those that wait too. Throws `resource_missing`. */
export async function enableEndpoint(
  ctx: EnvironmentContext,
  input: { readonly id: string },
): Promise<WebhookEndpoint> {
  return update(
    ctx,
    input.id,
    `state = 'enabled', reason = null, stopped_at = null, failures = 0, failing_since = null, last_error = null`,
    [],
  );
}

/** Makes a new secret; for a day requests are signed with the old one too. Throws `resource_missing`. */
export async function rotateSecret(
  ctx: EndpointContext,
  input: { readonly id: string },
): Promise<WithSecret> {
  const { public_id: publicId } = await requireEndpoint(ctx, input);
  const secret = newWebhookSecret(randomBytes);
  const endpoint = await update(
    ctx,
    publicId,
    `previous_secret = secret, previous_until = $4, secret = $5`,
    [new Date(ctx.clock.now() + PREVIOUS_SECRET_MS), ctx.secrets.seal(secret, sealedFor(publicId))],
  );
  return { ...endpoint, secret };
}

/** Removes an endpoint; what waited for it is sent to nobody. Throws `resource_missing`. */
export async function removeEndpoint(
  ctx: EnvironmentContext,
  input: { readonly id: string },
): Promise<void> {
  const { id } = await requireEndpoint(ctx, input);
  await ctx.db.query('delete from webhook_endpoint where id = $1', [id]);
}

/** `$3` is now; the values of `set` begin at `$4`. */
async function update(
  ctx: EnvironmentContext,
  id: string,
  set: string,
  values: readonly unknown[],
): Promise<WebhookEndpoint> {
  const { public_id: publicId } = await requireEndpoint(ctx, { id });
  const [row] = await ctx.db.query<EndpointRow>(
    `
    update webhook_endpoint
    set ${set},
        updated_at = $3
    where environment_id = $1
      and public_id = $2
    returning ${ENDPOINT_COLUMNS}`,
    [ctx.environment.id, publicId, new Date(ctx.clock.now()), ...values],
  );
  if (!row) throw endpointMissing(ctx, id);
  return endpointJson(row);
}

function typesOf(events: readonly string[]): number[] {
  if (events.length === 0) throw invalidField('events', 'must name at least one event');
  const types = events.map((name) => {
    if (isWebhookEventType(name)) return webhookEventTypes[name];
    const known = Object.keys(webhookEventTypes).join(', ');
    throw invalidField(
      'events',
      `${JSON.stringify(name.slice(0, 100))} is no event; there are ${known}`,
    );
  });
  return [...new Set(types)].sort((a, b) => a - b);
}

/** Addresses are looked at when a request is made: names change what they point to. */
function refuseBadUrl(ctx: EndpointContext, url: string): void {
  const parsed = webhookRequest({ method: 'post', url }, ctx.allowPrivate);
  if ('code' in parsed) throw invalidField('url', parsed.reason);
}
