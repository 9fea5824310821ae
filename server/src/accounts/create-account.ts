import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { Context } from '../context.ts';
import { type Queryable, sqlState } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { type By, byItself, writeAudit } from './audit.ts';
import { insertApiKey, insertOne, insertServiceToken, insertSigningKey } from './insert-key.ts';
import { generateKey, keyPrefixes } from './key.ts';
import { findAccountId } from './work-scope.ts';

/** Everything that a new account needs to be used, in the form of `credentials.json`. */
export type Credentials = {
  readonly account: string;
  readonly environments: { readonly [slug: string]: EnvironmentCredentials };
  readonly service_token: string;
  /** Only in the document of the first start: it opens every account. */
  readonly operator_token?: string;
};

export type EnvironmentCredentials = {
  readonly secret_key: string;
  readonly public_key: string;
  /** The private half; the server keeps the public one. */
  readonly signing_key_pem: string;
  /** Channel ids by key. */
  readonly channels: { readonly [key: string]: string };
};

export type CreateAccount = {
  readonly name: string;
  /** Keys of `development` that are given instead of made. */
  readonly keys?: {
    readonly secretKey?: string | undefined;
    readonly publicKey?: string | undefined;
    readonly serviceToken?: string | undefined;
  };
};

const ENVIRONMENTS = [
  { slug: 'development', name: 'Development', isTest: true },
  { slug: 'production', name: 'Production', isTest: false },
] as const;

/** The channels that every account begins with. */
const CHANNELS = [
  { key: 'in-app', name: 'In-app feed', type: 'in_app_feed', provider: 'in_app_feed_knock' },
  {
    key: 'in-app-guide',
    name: 'In-app guides',
    type: 'in_app_guide',
    provider: 'in_app_guide_knock',
  },
  { key: 'email', name: 'E-mail', type: 'email', provider: 'email_smtp' },
  { key: 'sms', name: 'SMS', type: 'sms', provider: 'sms_viewer' },
  { key: 'push', name: 'Push', type: 'push', provider: 'push_viewer' },
  { key: 'chat', name: 'Chat', type: 'chat', provider: 'chat_viewer' },
  { key: 'webhook', name: 'Webhook', type: 'http', provider: 'http_knock_webhook' },
] as const;

const ACCOUNT_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/i;
const UNIQUE_VIOLATION = '23505';

/** A new account with its environments, keys, signing keys and channels, all or nothing. */
export async function createAccount(
  ctx: Context,
  input: CreateAccount,
  by: By = byItself,
): Promise<Credentials> {
  if (!ACCOUNT_NAME.test(input.name)) {
    throw invalidField(
      'name',
      'must have 1 to 63 letters, digits, ".", "_" or "-" and begin and end with a letter or digit',
    );
  }
  const signingKeys = await makeSigningKeys(ENVIRONMENTS.length);
  try {
    return await ctx.db.transaction(async (tx) => {
      const credentials = await insertAccount(tx, input, signingKeys);
      const scope = { accountId: await findAccountId(tx, input.name) };
      await writeAudit(
        tx,
        { ...by, action: 'account create', scope, concerned: { account: input.name } },
        ctx.clock.now(),
      );
      return credentials;
    });
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    throw new BelfryError('conflict', `There is an account "${input.name}" already`);
  }
}

export type SigningKeyPair = { readonly publicKey: string; readonly privateKey: string };

/** RSA key pairs for user tokens, as PEM. Takes some 100 ms each, off the main thread. */
export function makeSigningKeys(count: number): Promise<SigningKeyPair[]> {
  const options = {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  } as const;
  const make = promisify(generateKeyPair);
  return Promise.all(Array.from({ length: count }, () => make('rsa', options)));
}

/** The account's rows, within the caller's transaction. */
export async function insertAccount(
  tx: Queryable,
  input: CreateAccount,
  signingKeys: readonly SigningKeyPair[],
): Promise<Credentials> {
  const account = await insertOne(
    tx,
    `
    insert into account (name)
    values ($1)
    returning id`,
    [input.name],
  );
  const channels = await insertChannels(tx, account);
  const environments: Record<string, EnvironmentCredentials> = {};
  for (const [position, { slug, name, isTest }] of ENVIRONMENTS.entries()) {
    const environment = await insertOne(
      tx,
      `
      insert into environment (account_id, slug, name, position)
      values ($1, $2, $3, $4)
      returning id`,
      [account, slug, name, position],
    );
    const given = slug === 'development' ? input.keys : undefined;
    const secretKey =
      given?.secretKey ?? generateKey(isTest ? keyPrefixes.secret_test : keyPrefixes.secret_live);
    const publicKey =
      given?.publicKey ?? generateKey(isTest ? keyPrefixes.public_test : keyPrefixes.public_live);
    await insertApiKey(tx, environment, 'secret', secretKey);
    await insertApiKey(tx, environment, 'public', publicKey);
    const pair = signingKeys[position];
    if (!pair) throw new Error(`no signing key for environment ${slug}`);
    await insertSigningKey(tx, environment, pair.publicKey);
    environments[slug] = {
      secret_key: secretKey,
      public_key: publicKey,
      signing_key_pem: pair.privateKey,
      channels,
    };
  }
  const serviceToken = input.keys?.serviceToken ?? generateKey(keyPrefixes.service);
  await insertServiceToken(tx, account, 'default', serviceToken);
  return { account: input.name, environments, service_token: serviceToken };
}

async function insertChannels(tx: Queryable, account: number): Promise<Record<string, string>> {
  const rows = await tx.query<{ readonly key: string; readonly id: string }>(
    `
    insert into channel (account_id, key, name, type, provider)
    select $1, key, name, type, provider
    from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as c (key, name, type, provider)
    returning key, id`,
    [
      account,
      CHANNELS.map(({ key }) => key),
      CHANNELS.map(({ name }) => name),
      CHANNELS.map(({ type }) => type),
      CHANNELS.map(({ provider }) => provider),
    ],
  );
  return Object.fromEntries(rows.map(({ key, id }) => [key, id]));
}
