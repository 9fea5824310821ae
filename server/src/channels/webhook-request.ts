import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';

export type WebhookMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export type WebhookRequest = {
  readonly method: WebhookMethod;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** The exact text that is sent and signed; empty for none. */
  readonly body: string;
};

export type WebhookRequestResult =
  | { readonly request: WebhookRequest }
  | { readonly code: string; readonly reason: string };

const METHODS: readonly WebhookMethod[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Set by us, or by the connection; a template's own are dropped. */
const RESERVED_HEADERS = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'idempotency-key',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-webhook-signature',
]);

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The request that an http step's content describes, or why there is none. */
export function webhookRequest(content: JsonObject, allowHttp: boolean): WebhookRequestResult {
  const method = METHODS.find((name) => name === text(content.method ?? 'post').toUpperCase());
  if (method === undefined) {
    return invalid(`method "${text(content.method)}" is none of ${METHODS.join(', ')}`);
  }
  const rawUrl = text(content.url).trim();
  if (!URL.canParse(rawUrl)) return invalid(`url "${rawUrl.slice(0, 200)}" is not a URL`);
  const url = new URL(rawUrl);
  if (url.protocol !== 'https:' && !(allowHttp && url.protocol === 'http:')) {
    return {
      code: 'webhook_url_not_https',
      reason: `the url begins with ${url.protocol}//, only https:// is allowed; BELFRY_ALLOW_PRIVATE_WEBHOOKS=true allows http:// and private addresses too`,
    };
  }
  if (url.username !== '' || url.password !== '') {
    return invalid('the url holds a user name or password; put them into an authorization header');
  }
  for (const [key, value] of pairs(content.query_params)) url.searchParams.append(key, value);

  const headers: Record<string, string> = {};
  for (const [key, value] of pairs(content.headers)) {
    const name = key.trim().toLowerCase();
    if (name === '' && value === '') continue;
    if (!HEADER_NAME.test(name)) return invalid(`header name "${name.slice(0, 100)}" is not valid`);
    if (!HEADER_VALUE.test(value)) {
      return invalid(`header ${name} holds a character that headers must not have`);
    }
    if (!RESERVED_HEADERS.has(name)) headers[name] = value;
  }
  const body = method === 'GET' ? '' : text(content.body);
  if (body !== '') headers['content-type'] ??= 'application/json';
  return { request: { method, url, headers, body } };
}

function invalid(reason: string): WebhookRequestResult {
  return { code: 'webhook_request_invalid', reason };
}

/** `[{key, value}]` or `{key: value}`, as pairs of texts. */
function pairs(value: Json | undefined): (readonly [string, string])[] {
  if (Array.isArray(value)) {
    return value.flatMap((entry: Json) =>
      isJsonObject(entry) ? [[text(entry.key), text(entry.value)] as const] : [],
    );
  }
  if (!isJsonObject(value)) return [];
  return Object.entries(value).map(([key, entry]) => [key, text(entry)] as const);
}

function text(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
