import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { createLruCache } from '../lib/lru.ts';
import type { OutboundRequests } from './outbound-requests.ts';
import { type ProviderAnswer, readAnswer, shown, textOf } from './provider-answer.ts';

/** Microsoft Graph on behalf of a bot in one tenant: https://learn.microsoft.com/graph/api/overview. */
export type TeamsApi = {
  /** Whether the bot gets a token for the tenant: its administrator has let it in. */
  readonly test: () => Promise<ProviderAnswer<null>>;
  readonly listTeams: (query: TeamsQuery) => Promise<ProviderAnswer<TeamsPage>>;
  readonly listChannels: (
    query: TeamsQuery & { readonly teamId: string },
  ) => Promise<ProviderAnswer<TeamsChannels>>;
};

/** OData parameters, `$filter` and the like, as Graph takes them. */
export type TeamsQuery = { readonly odata: Readonly<Record<string, string>> };

export type TeamsPage = {
  readonly ms_teams_teams: readonly Entry[];
  readonly skip_token: string | null;
};
export type TeamsChannels = { readonly ms_teams_channels: readonly Entry[] };

type Entry = {
  readonly id: string;
  readonly displayName: string;
  readonly [field: string]: unknown;
};

export type TeamsBot = {
  readonly graphUrl: string;
  readonly loginUrl: string;
  readonly botId: string;
  readonly botPassword: string;
};

export const GRAPH_URL = 'https://graph.microsoft.com/v1.0';
export const LOGIN_URL = 'https://login.microsoftonline.com';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_ENTRIES = 1_000;
const TOKENS = 1_000;
/** Microsoft's last an hour. */
const TOKEN_MS = 5 * 60_000;

/** Tokens that Graph was given out for, so that a page of a list does not cost two requests. */
export type TeamsTokens = {
  readonly get: (key: string) => string | undefined;
  readonly set: (key: string, token: string) => void;
};

export function createTeamsTokens(now: () => number): TeamsTokens {
  const tokens = createLruCache<string>(TOKENS, TOKEN_MS);
  return {
    get: (key) => tokens.get(key, now()),
    set: (key, token) => tokens.set(key, token, now()),
  };
}

export function createTeamsApi(
  requests: Pick<OutboundRequests, 'send'>,
  options: {
    readonly bot: TeamsBot;
    readonly tenantId: string;
    readonly requestId: string;
    readonly tokens: TeamsTokens;
  },
): TeamsApi {
  const { bot, tenantId, requestId, tokens } = options;
  const limits = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, idempotencyKey: requestId };
  const tokenKey = JSON.stringify([bot, tenantId]);

  /** Client credentials: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow. */
  const newToken = async (): Promise<ProviderAnswer<string>> => {
    const answer = readAnswer(
      await requests.send({
        content: {
          method: 'POST',
          url: `${base(bot.loginUrl)}/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams({
            client_id: bot.botId,
            client_secret: bot.botPassword,
            grant_type: 'client_credentials',
            scope: `${new URL(bot.graphUrl).origin}/.default`,
          }).toString(),
        },
        ...limits,
      }),
    );
    if ('kind' in answer) return answer;
    const token = textOf(answer.body.access_token);
    if (answer.status < 300 && token !== undefined) {
      tokens.set(tokenKey, token);
      return { kind: 'answered', value: token };
    }
    if (answer.status < 400) return { kind: 'unavailable', reason: 'it answered without a token' };
    const code = shown(answer.body.error, `status ${answer.status}`);
    return { kind: 'refused', reason: shown(answer.body.error_description, code) };
  };

  const list = async (path: string, odata: Readonly<Record<string, string>>) => {
    const known = tokens.get(tokenKey);
    const token =
      known === undefined ? await newToken() : ({ kind: 'answered', value: known } as const);
    if (token.kind !== 'answered') return token;
    const answer = readAnswer(
      await requests.send({
        content: {
          method: 'GET',
          url: base(bot.graphUrl) + path,
          headers: { authorization: `Bearer ${token.value}` },
          query_params: odata,
        },
        ...limits,
      }),
    );
    return 'kind' in answer ? answer : pageOf(answer.status, answer.body);
  };

  return {
    test: async () => {
      const token = await newToken();
      return token.kind === 'answered' ? { kind: 'answered', value: null } : token;
    },
    listTeams: async ({ odata }) => {
      const page = await list('/teams', odata);
      if (page.kind !== 'answered') return page;
      const { entries, skipToken } = page.value;
      return {
        kind: 'answered',
        value: {
          ms_teams_teams: entries,
          // A token that leads to itself would be followed for ever.
          skip_token: skipToken === odata.$skiptoken ? null : skipToken,
        },
      };
    },
    listChannels: async ({ odata, teamId }) => {
      const page = await list(`/teams/${encodeURIComponent(teamId)}/channels`, odata);
      if (page.kind !== 'answered') return page;
      const isShown = (entry: Entry): boolean =>
        odata.$filter !== undefined ||
        (entry.isArchived !== true && entry.membershipType !== 'private');
      return {
        kind: 'answered',
        value: { ms_teams_channels: page.value.entries.filter(isShown) },
      };
    },
  };
}

type Page = { readonly entries: readonly Entry[]; readonly skipToken: string | null };

function pageOf(status: number, body: JsonObject): ProviderAnswer<Page> {
  if (status >= 400) {
    const error = isJsonObject(body.error) ? body.error : {};
    const reason = shown(error.message, shown(error.code, `status ${status}`));
    return { kind: status === 401 || status === 403 ? 'refused' : 'invalid', reason };
  }
  if (!Array.isArray(body.value)) {
    return { kind: 'unavailable', reason: 'it answered without a list' };
  }
  return {
    kind: 'answered',
    value: {
      entries: body.value.slice(0, MAX_ENTRIES).flatMap(entryOf),
      skipToken: skipTokenOf(body['@odata.nextLink']),
    },
  };
}

/** The token in the link to the next page. The link itself is not followed: it may lead anywhere. */
function skipTokenOf(link: unknown): string | null {
  if (typeof link !== 'string') return null;
  return URL.parse(link)?.searchParams.get('$skiptoken') || null;
}

function entryOf(value: unknown): Entry[] {
  if (!isJsonObject(value)) return [];
  const id = textOf(value.id);
  if (id === undefined) return [];
  const { description, membershipType, isArchived, createdDateTime } = value;
  return [
    {
      id,
      displayName: textOf(value.displayName) ?? '',
      description: textOf(description) ?? null,
      ...(typeof membershipType === 'string' && { membershipType }),
      ...(typeof isArchived === 'boolean' && { isArchived }),
      ...(typeof createdDateTime === 'string' && { createdDateTime }),
    },
  ];
}

function base(url: string): string {
  return url.replace(/\/+$/, '');
}
