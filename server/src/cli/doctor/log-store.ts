import { isJsonObject } from '../../lib/json.ts';
import { type Check, fail, ok, reasonOf, warn } from './check.ts';

const NAME = 'log store';
const ASK_MS = 10_000;
/** What Belfry's tables and statements need; older ones were not tried. */
const OLDEST = [24, 8] as const;
const MOST_SKEW_SECONDS = 30;

/** ClickHouse's own numbers: `ErrorCodes.cpp` of its source. */
const AUTHENTICATION_FAILED = '516';
const REQUIRED_PASSWORD = '194';
/** Of releases before 20.1. */
const UNKNOWN_USER = '192';
const WRONG_PASSWORD = '193';
const UNKNOWN_DATABASE = '81';
const NOT_ENOUGH_PRIVILEGES = '497';

/** Asks a ClickHouse what Belfry needs of it, in one question over HTTP. `url` is that of BELFRY_LOG_STORE. */
export async function checkLogStore(url: string, nowMs: () => number): Promise<Check> {
  const { origin, username, password, pathname } = new URL(url);
  const database = decodeURIComponent(pathname.slice(1)) || 'default';
  const user = decodeURIComponent(username) || 'default';
  const query = new URLSearchParams({ database, default_format: 'JSONEachRow' });
  try {
    const response = await fetch(`${origin}/?${query}`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${user}:${decodeURIComponent(password)}`).toString('base64')}`,
      },
      body: 'select version() as version, toUnixTimestamp(now()) as now',
      signal: AbortSignal.timeout(ASK_MS),
    });
    const text = await response.text();
    if (response.ok) return judge(origin, JSON.parse(text), nowMs());
    const code = response.headers.get('x-clickhouse-exception-code') ?? '';
    return explain(code, { origin, user, database, text });
  } catch (error) {
    return fail(
      NAME,
      `Nobody answers as ClickHouse at ${origin} (${reasonOf(error)}).`,
      'Start it or look at the network, or correct BELFRY_LOG_STORE; its port is that of HTTP, 8123 most often.',
    );
  }
}

function judge(origin: string, row: unknown, nowMs: number): Check {
  const { version, now } = isJsonObject(row) ? row : {};
  const [major = 0, minor = 0] = String(version).split('.').map(Number);
  if (!(major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]))) {
    return fail(
      NAME,
      `ClickHouse ${String(version)} at ${origin} is too old.`,
      `Upgrade it to ${OLDEST.join('.')} or newer.`,
    );
  }
  const skewSeconds = Math.round(Math.abs(Number(now) - nowMs / 1_000));
  if (skewSeconds > MOST_SKEW_SECONDS) {
    return warn(
      NAME,
      `The clocks of this machine and of ClickHouse at ${origin} are ${skewSeconds} s apart.`,
      'Set the clocks, best with a time service such as systemd-timesyncd or chrony.',
    );
  }
  return ok(NAME, `ClickHouse ${String(version)} answers at ${origin}.`);
}

function explain(
  code: string,
  {
    origin,
    user,
    database,
    text,
  }: {
    readonly origin: string;
    readonly user: string;
    readonly database: string;
    readonly text: string;
  },
): Check {
  switch (code) {
    case AUTHENTICATION_FAILED:
    case REQUIRED_PASSWORD:
    case UNKNOWN_USER:
    case WRONG_PASSWORD:
      return fail(
        NAME,
        `ClickHouse at ${origin} does not take this password for the user ${user}, or has no such user.`,
        'Correct user and password in BELFRY_LOG_STORE.',
      );
    case UNKNOWN_DATABASE:
      return fail(
        NAME,
        `ClickHouse at ${origin} has no database ${database}.`,
        `Run there: create database ${database}; or correct the end of BELFRY_LOG_STORE.`,
      );
    case NOT_ENOUGH_PRIVILEGES:
      return fail(
        NAME,
        `The user ${user} of ClickHouse at ${origin} may not use the database ${database}.`,
        `Run there: grant all on ${database}.* to ${user};`,
      );
    default:
      return fail(
        NAME,
        `ClickHouse at ${origin} cannot be used (${text.split('\n')[0]?.slice(0, 200)}).`,
        'Look at its log.',
      );
  }
}
