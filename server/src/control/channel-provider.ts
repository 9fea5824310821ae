import type { Context, Environment } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { SecretBox } from '../lib/secret-box.ts';

/** How a channel reaches its provider's API in one environment. */
export type ProviderSettings = {
  /** Of the API, without a slash at its end; null: the provider's own. */
  readonly api_url: string | null;
  /** Where a Microsoft Teams bot gets its tokens; null: Microsoft's own. */
  readonly login_url: string | null;
  readonly bot_id: string | null;
};

/** Undefined leaves a setting as it is, null removes it. */
export type ProviderSettingsChange = {
  readonly [Name in keyof ProviderSettings]?: string | null | undefined;
} & { readonly bot_password?: string | null | undefined };

export type ProviderSettingsAnswer = ProviderSettings & { readonly has_bot_password: boolean };

export type ChannelProvider = {
  readonly id: string;
  readonly key: string;
  readonly type: string;
  readonly provider: string;
  readonly settings: ProviderSettings;
  /** Sealed. */
  readonly sealedPassword: string | null;
};

/** The channel with this id or key of the environment's account, or undefined. */
export async function findChannelProvider(
  db: Queryable,
  environment: Environment,
  reference: string,
): Promise<ChannelProvider | undefined> {
  const [channel] = await db.query<ChannelProvider>(
    `
    select c.id, c.key, c.type, c.provider, s.provider_secret as "sealedPassword",
      jsonb_build_object('api_url', null, 'login_url', null, 'bot_id', null)
        || coalesce(s.provider_settings, '{}') as settings
    from channel c
    left join channel_setting s
      on s.channel_id = c.id
     and s.environment_id = $2
    where c.account_id = $1
      and (c.id::text = $3 or c.key = $3)`,
    [environment.accountId, environment.id, reference.toLowerCase()],
  );
  return channel;
}

/** The same by its key, or a 404. */
export async function requireProviderSettings(
  db: Queryable,
  environment: Environment,
  key: string,
): Promise<ProviderSettingsAnswer> {
  const channel = await findChannelProvider(db, environment, key);
  if (!channel) {
    throw new BelfryError(
      'resource_missing',
      `The account has no channel ${JSON.stringify(key.slice(0, 200))}`,
    );
  }
  return { ...channel.settings, has_bot_password: channel.sealedPassword !== null };
}

/** Changes how a channel reaches its provider's API; a password is sealed and never shown. Throws `resource_missing`, `invalid_params`. */
export async function setProviderSettings(
  ctx: Context & { readonly secrets: SecretBox },
  input: ProviderSettingsChange & { readonly environment: Environment; readonly key: string },
): Promise<ProviderSettingsAnswer> {
  const { environment, key, bot_password: password, ...rest } = input;
  const { api_url, login_url, bot_id } = rest;
  const changes = Object.entries({ api_url, login_url, bot_id }).filter(
    ([, value]) => value !== undefined,
  );
  for (const [name, value] of changes) if (name.endsWith('_url')) checkUrl(name, value);
  const sealed = password ? ctx.secrets.seal(password, passwordName(environment, key)) : null;
  return ctx.db.transaction(async (tx) => {
    await requireProviderSettings(tx, environment, key);
    await tx.query(
      `
      insert into channel_setting as s (channel_id, environment_id, provider_settings, provider_secret)
      select id, $2, jsonb_strip_nulls($4::jsonb), $5
      from channel
      where account_id = $1
        and key = $3
      on conflict (channel_id, environment_id) do update
      set provider_settings = jsonb_strip_nulls(s.provider_settings || $4::jsonb),
        provider_secret = case when $6 then excluded.provider_secret else s.provider_secret end,
        updated_at = now()`,
      [
        environment.accountId,
        environment.id,
        key,
        JSON.stringify(Object.fromEntries(changes)),
        sealed,
        password !== undefined,
      ],
    );
    return requireProviderSettings(tx, environment, key);
  });
}

/** The password in clear; undefined when there is none, or it was sealed with another secret. */
export function openBotPassword(
  secrets: SecretBox,
  environment: Environment,
  { key, sealedPassword }: Pick<ChannelProvider, 'key' | 'sealedPassword'>,
): string | undefined {
  return sealedPassword === null
    ? undefined
    : secrets.open(sealedPassword, passwordName(environment, key));
}

function passwordName(environment: Environment, key: string): string {
  return `bot password of channel ${key} in environment ${environment.id}`;
}

function checkUrl(field: string, value: unknown): void {
  if (value === null) return;
  const url = typeof value === 'string' ? URL.parse(value) : null;
  const isWhole = url !== null && url.username === '' && url.search === '' && url.hash === '';
  if (!isWhole || !/^https?:$/.test(url.protocol)) {
    throw invalidField(field, 'must be an https:// URL without user, query and fragment');
  }
}
