import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Capability } from '../accounts/user-token.ts';
import { createOutboundRequests, type OutboundRequests } from '../channels/outbound-requests.ts';
import type { ProviderAnswer } from '../channels/provider-answer.ts';
import type { EnvironmentContext } from '../context.ts';
import { type ChannelProvider, findChannelProvider } from '../control/channel-provider.ts';
import { createDynamicThreshold } from '../lib/dynamic-threshold.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { findChannelData } from '../recipients/channel-data.ts';
import { parseCollection, parseId, type RecipientKey } from '../recipients/reference.ts';
import { environmentContext, requireGrant } from './access.ts';
import type { App } from './route.ts';
import type { Services } from './services.ts';

/** What a request to a provider's endpoint is about. */
export type ProviderConnection = {
  readonly ctx: EnvironmentContext;
  readonly channel: ChannelProvider;
  /** Whose connection to the provider it is, mostly a tenant. */
  readonly owner: RecipientKey;
  /** The owner's data for the channel; undefined: it has none. */
  readonly data: JsonObject | undefined;
};

/** How the end of a connection is answered; to Knock's browser components it is the text alone. */
export const Revoked = Type.Object({ ok: Type.String() });

const RETRY_MS = 30_000;
const PLACES_RETRY_MS = 1_000;
/** Requests that wait for a provider at once; one account has half of them at the most. */
const PLACES = 100;

/**
 * The connection that a request names, after every check of it: `parameter` is the query parameter with the owner,
 * as a JSON text (in Knock's specification) or in brackets (in its clients).
 */
export async function providerConnection(
  services: Services,
  request: FastifyRequest,
  wanted: {
    readonly parameter: string;
    readonly capability: Capability;
    readonly provider: 'chat_slack' | 'chat_ms_teams';
  },
): Promise<ProviderConnection> {
  const ctx = environmentContext(services, request);
  const owner = ownerOf(objectParameter(request, wanted.parameter), wanted.parameter);
  requireGrant(request, owner, wanted.capability);
  const { channel_id: reference = '' } = request.params as { readonly channel_id?: string };
  const channel = await findChannelProvider(ctx.db, ctx.environment, reference);
  if (!channel) {
    throw new BelfryError(
      'resource_missing',
      `No channel ${JSON.stringify(reference.slice(0, 100))} in this account; use the id or key of one of its channels`,
    );
  }
  // An account's first channel for chat has no provider yet.
  const providers: readonly string[] = [wanted.provider, 'chat_viewer'];
  if (channel.type !== 'chat' || !providers.includes(channel.provider)) {
    throw new BelfryError(
      'channel_invalid',
      `Channel ${channel.key} is of type ${channel.type} and provider ${channel.provider}, not ${wanted.provider}`,
    );
  }
  const data = await findChannelData(ctx, { ...owner, channelId: channel.id });
  return { ctx, channel, owner, data };
}

/** The parameter as an object, whichever way it was written; undefined when it is not there. */
export function objectParameter(request: FastifyRequest, name: string): JsonObject | undefined {
  const value = (request.query as Readonly<Record<string, unknown>>)[name];
  if (value === undefined || value === '') return undefined;
  const object = typeof value === 'string' ? parsed(value) : value;
  if (isJsonObject(object)) return object;
  throw invalidField(name, 'must be a JSON object');
}

/** What the provider said, or the error that says why it did not. */
export function requireAnswer<Value>(name: string, answer: ProviderAnswer<Value>): Value {
  switch (answer.kind) {
    case 'answered':
      return answer.value;
    case 'refused':
      throw new BelfryError(
        'authorization',
        `${name} refused the request: ${answer.reason}; connect it again`,
      );
    case 'invalid':
      throw new BelfryError(
        'invalid_params',
        `${name} does not take the request: ${answer.reason}`,
      );
    case 'limited':
      throw new BelfryError(
        'rate_limited',
        `${name} takes no more requests with this access token at the moment`,
        { retryAfterMs: RETRY_MS },
      );
    case 'unavailable':
      throw new BelfryError(
        'provider_unavailable',
        `${name} gave no usable answer: ${answer.reason}`,
      );
  }
}

/** Requests to providers, closed with the app. Made by the first one, as a document of the routes has no services. */
export function createProviderRequests(
  app: App,
  services: Services,
): Pick<OutboundRequests, 'send'> {
  let requests: OutboundRequests | undefined;
  app.addHook('onClose', async () => requests?.close());
  return {
    send: (request) => {
      const { clock, config } = services;
      requests ??= createOutboundRequests({ allowPrivate: config.allowPrivateWebhooks, clock });
      return requests.send(request);
    },
  };
}

/** Lets so many requests wait for providers that accounts whose provider hangs leave room for others. */
export function createProviderPlaces(): <Value>(
  accountId: number,
  work: () => Promise<Value>,
) => Promise<Value> {
  const places = createDynamicThreshold(PLACES);
  return async (accountId, work) => {
    if (!places.take(accountId, 1)) {
      throw new BelfryError(
        'rate_limited',
        `${places.held(accountId)} requests of this account wait for its providers already`,
        { retryAfterMs: PLACES_RETRY_MS },
      );
    }
    try {
      return await work();
    } finally {
      places.giveBack(accountId, 1);
    }
  };
}

/**
 * How the end of a connection is answered: Knock's specification has an object, its browser components compare with a
 * text and name themselves in `X-Knock-Client`.
 */
export function revokedAnswer(request: FastifyRequest): string | { readonly ok: string } {
  const isBrowserClient = request.headers['x-knock-client'] !== undefined;
  return isBrowserClient ? '"ok"' : { ok: 'ok' };
}

function ownerOf(value: JsonObject | undefined, parameter: string): RecipientKey {
  if (value === undefined) {
    throw invalidField(parameter, 'is required: {"collection": "...", "object_id": "..."}');
  }
  return {
    collection: parseCollection(value.collection, `${parameter}.collection`),
    id: parseId(value.object_id, `${parameter}.object_id`),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
