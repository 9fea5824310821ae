import { permitsOwn, tenantScope, type UserToken } from '../accounts/user-token.ts';
import type { GuideJoin } from '../guides/guide-hub.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { parseId } from '../recipients/reference.ts';
import { notGranted } from './access.ts';
import { requireTenantInScope } from './tenant-scope.ts';

const MAX_DATA = 16_000;

/** What a join of `guides:<channel id>` asks for. Throws. */
export function readGuideJoin(input: {
  readonly topic: string;
  readonly payload: unknown;
  /** What the socket's token proved; absent: the key may act for any user. */
  readonly token: UserToken | undefined;
}): Omit<GuideJoin, 'push'> {
  const [, channelId] = /^guides:([^:]+)$/s.exec(input.topic) ?? [];
  if (!channelId) throw new BelfryError('resource_missing', 'unmatched topic');
  const { payload } = input;
  if (!isJsonObject(payload)) throw invalidField('payload', 'must be an object');
  const userId = parseId(payload.user_id, 'user_id');
  const tenant = tenantOf(payload.tenant);
  const { token } = input;
  if (token && token.userId !== userId) {
    throw new BelfryError('invalid_user_token', 'The user token is for another user');
  }
  if (token && !permitsOwn(token, 'user/guide_read')) throw notGranted('user/guide_read');
  requireTenantInScope(tenant, token && tenantScope(token, 'user/guide_read'));
  return {
    channelId,
    viewer: { userId, tenant, data: dataOf(payload.data ?? {}) },
    force: payload.force_all_guides === true,
  };
}

/** The tenant of a viewer; none where it is absent or empty. Throws `invalid_params`. */
export function tenantOf(value: unknown): string | null {
  return value === undefined || value === null || value === '' ? null : parseId(value, 'tenant');
}

function dataOf(value: Json): JsonObject {
  if (!isJsonObject(value)) throw invalidField('data', 'must be an object');
  if (JSON.stringify(value).length > MAX_DATA) {
    throw invalidField('data', `must have at most ${MAX_DATA} characters as JSON`);
  }
  return value;
}

/** The query parameter `data`: an object as JSON. Throws `invalid_params`. */
export function dataParameter(text: string | undefined): JsonObject {
  if (text === undefined || text === '') return {};
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidField('data', 'must be a JSON object');
  }
  return dataOf(value);
}
