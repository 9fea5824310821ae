import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientConfig } from '../config.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { CliError } from './result.ts';

export type Role = 'secret' | 'service' | 'operator';

const NAMES = {
  secret: { thing: 'secret key', flag: '--secret-key', variable: 'BELFRY_SECRET_KEY' },
  service: { thing: 'service token', flag: '--service-token', variable: 'BELFRY_SERVICE_TOKEN' },
  operator: {
    thing: 'operator token',
    flag: '--operator-token',
    variable: 'BELFRY_OPERATOR_TOKEN',
  },
} as const;

/**
 * The key for a role: given by flag or variable, else from `credentials.json` in the data dir,
 * where a secret key is that of `environment`.
 */
export async function findKey(
  config: ClientConfig,
  role: Role,
  environment: string,
): Promise<string> {
  const given = {
    secret: config.secretKey,
    service: config.serviceToken,
    operator: config.operatorToken,
  }[role];
  if (given !== undefined) return given;
  const { thing, flag, variable } = NAMES[role];
  const path = join(config.dataDir, 'credentials.json');
  const wayOut = `give the ${thing} with ${flag} or ${variable}, or the server's data directory with --data-dir`;
  const credentials = await read(path, wayOut);
  const key = keyOf(credentials, role, environment);
  if (typeof key === 'string') return key;
  const which = role === 'secret' ? ` of an environment ${JSON.stringify(environment)}` : '';
  throw new CliError('credentials_missing', `${path} has no ${thing}${which}; ${wayOut}.`);
}

async function read(path: string, wayOut: string): Promise<JsonObject> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = isMissing ? 'There is no' : 'This user cannot read';
    throw new CliError('credentials_missing', `${why} ${path}; ${wayOut}.`);
  }
  try {
    const credentials: unknown = JSON.parse(text);
    if (isJsonObject(credentials)) return credentials;
  } catch {
    // Said below.
  }
  throw new CliError('credentials_missing', `${path} is not JSON; ${wayOut}.`);
}

function keyOf(credentials: JsonObject, role: Role, environment: string): unknown {
  if (role === 'service') return credentials.service_token;
  if (role === 'operator') return credentials.operator_token;
  const { environments } = credentials;
  if (!isJsonObject(environments) || !Object.hasOwn(environments, environment)) return undefined;
  const found = environments[environment];
  return isJsonObject(found) ? found.secret_key : undefined;
}
