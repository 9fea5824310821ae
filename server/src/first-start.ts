import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findKey } from './accounts/access.ts';
import { bootstrap, DEMO_ACCOUNT } from './accounts/bootstrap.ts';
import type { Credentials } from './accounts/create-account.ts';
import { keyHash } from './accounts/key.ts';
import { reissueCredentials } from './accounts/reissue-credentials.ts';
import type { Config } from './config.ts';
import type { Context, Environment } from './context.ts';
import { publish } from './control/publish.ts';
import { readDirectory } from './control/read-directory.ts';
import { StartError, systemErrorCode } from './db/start-error.ts';

const SHORTEST_SECRET = 16;

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));

/**
 * The data dir's `credentials.json`: made on the first start, together with the account `demo` and the
 * example workflows in its development environment. Undefined when the database was set up elsewhere.
 */
export async function prepareFirstStart(
  ctx: Context,
  config: Config,
): Promise<{ readonly credentials: Credentials | undefined; readonly isNew: boolean }> {
  const path = join(config.dataDir, 'credentials.json');
  const made = await bootstrap(ctx, givenKeys(config), async (credentials) => {
    await setAside(path, ctx.clock.now());
    await writeSecretFile(path, documentOf(credentials));
  });
  if (!made) {
    const kept = await readCredentials(path);
    if (kept) await expectOurKeys(ctx, kept, path, config);
    // By URL, several data dirs may share a database: only our own database gets new keys by itself.
    if (kept || config.databaseUrl !== undefined) return { credentials: kept, isNew: false };
    const credentials = await reissueCredentials(ctx);
    if (credentials) await writeSecretFile(path, documentOf(credentials));
    return { credentials, isNew: credentials !== undefined };
  }
  await publishExamples(ctx);
  return { credentials: made, isNew: true };
}

function givenKeys(config: Config): Parameters<typeof bootstrap>[1] {
  const { secretKey, publicKey, serviceToken } = config.bootstrap;
  return {
    ...(secretKey === undefined ? {} : { secretKey }),
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(serviceToken === undefined ? {} : { serviceToken }),
  };
}

function documentOf(credentials: Credentials): string {
  return `${JSON.stringify(credentials, null, 2)}\n`;
}

async function readCredentials(path: string): Promise<Credentials | undefined> {
  const text = await readSecretFile(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Credentials;
  } catch {
    throw new StartError(
      `${path} is not JSON; repair it, or remove it: keys that nobody has any more must be made anew.`,
    );
  }
}

/**
 * The keys of another database open nothing here. One key that is known, revoked or not, is enough;
 * those that are given by variables may be the same everywhere and prove nothing.
 */
async function expectOurKeys(
  ctx: Context,
  kept: Credentials,
  path: string,
  config: Config,
): Promise<void> {
  const given = new Set<unknown>(Object.values(config.bootstrap));
  const keys = keysOf(kept).filter((key) => !given.has(key));
  for (const key of keys) {
    const { kind } = await findKey(ctx.db, keyHash(key));
    if (kind !== 'unknown') return;
  }
  if (keys.length === 0) return;
  const [database, correct] =
    config.databaseUrl === undefined
      ? [`the one in ${config.dataDir}`, 'Put its own database there']
      : ['the one at DATABASE_URL', 'Correct DATABASE_URL or BELFRY_DATA_DIR'];
  throw new StartError(
    `${path} belongs to another database: ${database} knows none of its keys. ${correct}, or move the file away.`,
  );
}

function keysOf(credentials: Credentials): string[] {
  const { environments, service_token, operator_token } = credentials;
  const keys: unknown[] = [
    ...Object.values(environments ?? {}).flatMap(({ secret_key, public_key }) => [
      secret_key,
      public_key,
    ]),
    service_token,
    operator_token,
  ];
  return keys.filter((key) => typeof key === 'string');
}

/** In a new database: the keys of a former one, or of a start that ended before its commit. */
async function setAside(path: string, nowMs: number): Promise<void> {
  const suffix = new Date(nowMs)
    .toISOString()
    .replaceAll(/[^\dT]/g, '')
    .slice(0, 15);
  await rename(path, `${path}.until-${suffix}`).catch((error) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
}

async function publishExamples(ctx: Context): Promise<void> {
  const [row] = await ctx.db.query<{
    id: number;
    public_id: string;
    account_id: number;
    slug: string;
    settings: Environment['settings'];
  }>(
    `select e.id, e.public_id, e.account_id, e.slug, e.settings
     from environment e
     join account a on a.id = e.account_id
     where a.name = $1
       and e.slug = 'development'`,
    [DEMO_ACCOUNT],
  );
  const { workflows, resources } = await readDirectory(EXAMPLES);
  if (!row || workflows.length === 0) return;
  const environment: Environment = {
    id: row.id,
    publicId: row.public_id,
    accountId: row.account_id,
    slug: row.slug,
    settings: row.settings,
  };
  await publish({ ...ctx, environment }, { workflows, resources });
}

/** A secret of this installation that is made once and kept in the data dir. */
export async function installationSecret(dataDir: string): Promise<string> {
  const path = join(dataDir, 'secret');
  const kept = await readSecretFile(path);
  if (kept === undefined) {
    const secret = randomBytes(32).toString('base64url');
    await writeSecretFile(path, `${secret}\n`);
    return secret;
  }
  // Whoever knows a short secret, or that it is empty, can sign webhooks in our name.
  if (kept.trim().length < SHORTEST_SECRET) {
    throw new StartError(
      `${path} is cut off; restore it from a backup, or remove it: a new one changes every webhook's signing secret.`,
    );
  }
  return kept.trim();
}

/** The file's text; undefined when there is none. One that cannot be read must not be replaced. */
async function readSecretFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeSecretFile(path: string, text: string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  // Aside, on disk and renamed: a start that is killed, or a power cut, leaves the whole file or none.
  await rm(`${path}.new`, { force: true });
  await writeFile(`${path}.new`, text, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
}
