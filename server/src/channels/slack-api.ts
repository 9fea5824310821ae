import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { OutboundRequests } from './outbound-requests.ts';
import { type ProviderAnswer, readAnswer, shown, textOf } from './provider-answer.ts';

/** Slack's Web API with one access token: https://docs.slack.dev/apis/web-api. */
export type SlackApi = {
  readonly test: () => Promise<ProviderAnswer<null>>;
  readonly listChannels: (query: SlackChannelQuery) => Promise<ProviderAnswer<SlackChannelPage>>;
  /** A token that is not good any more counts as revoked. */
  readonly revoke: () => Promise<ProviderAnswer<null>>;
};

export type SlackChannelQuery = {
  readonly cursor?: string | undefined;
  /** 1 to 1,000. */
  readonly limit: number;
  readonly excludeArchived: boolean;
  /** Of public_channel, private_channel, mpim, im; separated by commas. */
  readonly types: string;
  readonly teamId?: string | undefined;
};

export type SlackChannelPage = {
  readonly slack_channels: readonly SlackChannel[];
  readonly next_cursor: string | null;
};

type SlackChannel = {
  readonly id: string;
  readonly name: string;
  readonly is_private: boolean;
  readonly is_im: boolean;
  readonly context_team_id: string;
};

export const SLACK_API_URL = 'https://slack.com/api';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 4 * 1024 * 1024;

const INVALID: ReadonlySet<string> = new Set([
  'invalid_cursor',
  'invalid_limit',
  'invalid_types',
  'invalid_arguments',
  'method_not_supported_for_channel_type',
  'missing_argument',
  'team_access_not_granted',
]);
const DOWN: ReadonlySet<string> = new Set([
  'fatal_error',
  'internal_error',
  'request_timeout',
  'service_unavailable',
]);
/** The token opens nothing any more. */
const ENDED: ReadonlySet<string> = new Set([
  'account_inactive',
  'invalid_auth',
  'not_authed',
  'token_expired',
  'token_revoked',
]);

export function createSlackApi(
  requests: Pick<OutboundRequests, 'send'>,
  options: { readonly apiUrl: string; readonly token: string; readonly requestId: string },
): SlackApi {
  const call = async (
    method: string,
    parameters: Readonly<Record<string, string>> = {},
  ): Promise<ProviderAnswer<JsonObject>> => {
    const answer = readAnswer(
      await requests.send({
        content: {
          method: 'POST',
          url: `${options.apiUrl.replace(/\/+$/, '')}/${method}`,
          headers: {
            authorization: `Bearer ${options.token}`,
            'content-type': 'application/x-www-form-urlencoded',
          },
          body: new URLSearchParams(parameters).toString(),
        },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
        idempotencyKey: options.requestId,
      }),
    );
    if ('kind' in answer) return answer;
    const { body, status } = answer;
    if (body.ok === true) return { kind: 'answered', value: body };
    const reason = shown(body.error, `status ${status} without a reason`);
    if (body.ok !== false || DOWN.has(reason)) return { kind: 'unavailable', reason };
    if (reason === 'ratelimited') return { kind: 'limited' };
    return { kind: INVALID.has(reason) ? 'invalid' : 'refused', reason };
  };

  return {
    test: async () => done(await call('auth.test')),
    revoke: async () => {
      const answer = await call('auth.revoke');
      if (answer.kind === 'refused' && ENDED.has(answer.reason)) return done({ kind: 'answered' });
      return done(answer);
    },
    listChannels: async ({ cursor, limit, excludeArchived, types, teamId }) => {
      const answer = await call('conversations.list', {
        limit: String(limit),
        exclude_archived: String(excludeArchived),
        types,
        ...(cursor !== undefined && { cursor }),
        ...(teamId !== undefined && { team_id: teamId }),
      });
      if (answer.kind !== 'answered') return answer;
      const { channels, response_metadata: metadata } = answer.value;
      if (!Array.isArray(channels)) {
        return { kind: 'unavailable', reason: 'it answered without a list of channels' };
      }
      const next = isJsonObject(metadata) ? textOf(metadata.next_cursor) : undefined;
      return {
        kind: 'answered',
        value: {
          slack_channels: channels.slice(0, limit).flatMap(slackChannel),
          // A cursor that leads to itself would be followed for ever.
          next_cursor: next === undefined || next === cursor ? null : next,
        },
      };
    },
  };
}

function done(
  answer: ProviderAnswer<unknown> | { readonly kind: 'answered' },
): ProviderAnswer<null> {
  return answer.kind === 'answered' ? { kind: 'answered', value: null } : answer;
}

function slackChannel(value: unknown): SlackChannel[] {
  if (!isJsonObject(value)) return [];
  const id = textOf(value.id);
  if (id === undefined) return [];
  return [
    {
      id,
      // A direct message has no name but the other's id.
      name: textOf(value.name) ?? textOf(value.user) ?? id,
      is_private: value.is_private === true,
      is_im: value.is_im === true,
      context_team_id: textOf(value.context_team_id) ?? '',
    },
  ];
}
