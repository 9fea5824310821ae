import { isJsonObject, type Json, type JsonObject } from './json.ts';

/** A connection without what lets its holder post in the chat. */
export function withoutSecrets(connection: Json | undefined): JsonObject {
  if (!isJsonObject(connection)) return {};
  const { access_token: token, incoming_webhook: webhook, ...rest } = connection;
  return {
    ...rest,
    ...(token === undefined ? {} : { access_token: null }),
    ...(isJsonObject(webhook) ? { incoming_webhook: { url: null } } : {}),
  };
}
