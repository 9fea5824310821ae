import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { singleEmailAddress } from './lib/email-address.ts';

const MAX_DEFAULT_EXECUTORS = 4;
const DEFAULT_CANARY_MS = 15_000;

/** Everything that can be set from outside (config-variables.ts says how). Read once, at the start; parts receive values. */
export type Config = {
  readonly port: number;
  readonly host: string;
  /** Where recipients reach the server, for links in messages; without a slash at its end. */
  readonly publicUrl: string;
  /** Absolute. */
  readonly dataDir: string;
  /** Absent: an embedded PostgreSQL in the data dir. */
  readonly databaseUrl: string | undefined;
  /** With less free space than this for the embedded database nothing is accepted; undefined: from the disk's size. */
  readonly diskFloorBytes: number | undefined;
  /** Absent: e-mail goes to the built-in viewer. */
  readonly smtpUrl: string | undefined;
  readonly mailFrom: string;
  readonly allowPrivateWebhooks: boolean;
  /** Where AI steps ask: an OpenAI-compatible endpoint. */
  readonly model: { readonly url: string; readonly apiKey: string | undefined } | undefined;
  /** The demo page and the message viewer, where they may be shown at all. */
  readonly demo: boolean;
  /** `knock`: each endpoint has the rate limit that Knock gives it. */
  readonly rateLimits: RateLimits;
  readonly bootstrap: BootstrapKeys;
  readonly logLevel: LogLevel;
  /** Executor processes. */
  readonly executors: number;
  /** Milliseconds between the triggers that the server sends itself; undefined when it sends none. */
  readonly canaryMs: number | undefined;
  /** Requests of an account that are recorded a second; 0: none. */
  readonly apiLogsPerSecond: number;
  readonly quarantine: QuarantineConfig;
  readonly retention: RetentionConfig;
  /** Absent: what messages say stays in the database. */
  readonly objectStore: ObjectStoreSettings | undefined;
  /** Absent: events are searched in the live tables. See docs/operating/events.md. */
  readonly logStore: { readonly url: string; readonly backlogBytes: number } | undefined;
};

/** Keys that the first start uses for `development` instead of new ones. */
type BootstrapKeys = {
  readonly secretKey: string | undefined;
  readonly publicKey: string | undefined;
  readonly serviceToken: string | undefined;
};

const RATE_LIMITS = ['off', 'knock'] as const;
type RateLimits = (typeof RATE_LIMITS)[number];
/** What automatic quarantine does with an account that floods; see docs/operating/quarantine.md. */
type QuarantineConfig = {
  readonly mode: QuarantineMode;
  readonly pause: boolean;
  readonly reject: boolean;
  /** Queued runs of an account that are too many. */
  readonly backlogRuns: number;
};

/** For how many days data is kept, by class; undefined: for ever. See docs/operating/retention.md. */
type RetentionConfig = {
  readonly logs: number | undefined;
  readonly messages: number | undefined;
  readonly apiLogs: number | undefined;
  readonly audit: number | undefined;
};

/** See docs/operating/stores.md. */
type ObjectStoreSettings = {
  readonly bucket: string;
  /** Of every key; ends with a slash, or is empty. */
  readonly prefix: string;
  /** Absent: AWS. */
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly minBytes: number;
  readonly backlogBytes: number;
};

const QUARANTINE_MODES = ['act', 'shadow', 'off'] as const;
type QuarantineMode = (typeof QUARANTINE_MODES)[number];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

/** A variable with a value that cannot be used. Its message is one sentence for the operator. */
export class ConfigError extends Error {
  readonly variable: string;

  constructor(variable: string, value: string, wayOut: string) {
    super(`${variable} is ${JSON.stringify(value)}: ${wayOut}`);
    this.name = 'ConfigError';
    this.variable = variable;
  }
}

/** The configuration in these environment variables. An empty variable counts as not set. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const read = (name: string): string | undefined => env[name]?.trim() || undefined;
  const port = integer('BELFRY_PORT', read('BELFRY_PORT'), 4400, 0, 65_535);
  const host = read('BELFRY_HOST') ?? '127.0.0.1';
  const aiUrl = url('BELFRY_AI_URL', read('BELFRY_AI_URL'), ['http:', 'https:']);
  const aiKey = read('BELFRY_AI_KEY');
  const publicUrl = url('BELFRY_PUBLIC_URL', read('BELFRY_PUBLIC_URL'), ['http:', 'https:']);
  return {
    port,
    host,
    publicUrl: (publicUrl ?? localUrl(host, port)).replace(/\/+$/, ''),
    dataDir: resolve(read('BELFRY_DATA_DIR') ?? './.belfry'),
    databaseUrl: url('DATABASE_URL', read('DATABASE_URL'), ['postgres:', 'postgresql:']),
    diskFloorBytes: megabytes('BELFRY_DISK_FLOOR_MB', read('BELFRY_DISK_FLOOR_MB')),
    smtpUrl: url('BELFRY_SMTP_URL', read('BELFRY_SMTP_URL'), ['smtp:', 'smtps:']),
    mailFrom: emailAddress(
      'BELFRY_MAIL_FROM',
      read('BELFRY_MAIL_FROM') ?? 'Belfry <belfry@localhost>',
    ),
    allowPrivateWebhooks: flag(
      'BELFRY_ALLOW_PRIVATE_WEBHOOKS',
      read('BELFRY_ALLOW_PRIVATE_WEBHOOKS'),
    ),
    model: aiUrl === undefined ? undefined : { url: aiUrl, apiKey: aiKey },
    demo: flag('BELFRY_DEMO', read('BELFRY_DEMO') ?? 'true'),
    rateLimits: oneOf('BELFRY_RATE_LIMITS', read('BELFRY_RATE_LIMITS'), RATE_LIMITS, 'off'),
    bootstrap: {
      secretKey: read('BELFRY_BOOTSTRAP_SECRET_KEY'),
      publicKey: read('BELFRY_BOOTSTRAP_PUBLIC_KEY'),
      serviceToken: read('BELFRY_BOOTSTRAP_SERVICE_TOKEN'),
    },
    logLevel: oneOf('BELFRY_LOG_LEVEL', read('BELFRY_LOG_LEVEL'), LOG_LEVELS, 'info'),
    executors: integer('BELFRY_EXECUTORS', read('BELFRY_EXECUTORS'), defaultExecutors(), 1, 64),
    apiLogsPerSecond: integer(
      'BELFRY_API_LOGS_PER_SECOND',
      read('BELFRY_API_LOGS_PER_SECOND'),
      20,
      0,
      1_000,
    ),
    canaryMs: canary('BELFRY_CANARY', read('BELFRY_CANARY')),
    quarantine: {
      mode: oneOf('BELFRY_QUARANTINE', read('BELFRY_QUARANTINE'), QUARANTINE_MODES, 'act'),
      pause: flag('BELFRY_QUARANTINE_PAUSE', read('BELFRY_QUARANTINE_PAUSE')),
      reject: flag('BELFRY_QUARANTINE_REJECT', read('BELFRY_QUARANTINE_REJECT')),
      backlogRuns: integer(
        'BELFRY_QUARANTINE_BACKLOG',
        read('BELFRY_QUARANTINE_BACKLOG'),
        10_000_000,
        1_000,
        1_000_000_000,
      ),
    },
    retention: {
      logs: days('BELFRY_RETENTION_LOGS_DAYS', read('BELFRY_RETENTION_LOGS_DAYS'), 90),
      messages: days('BELFRY_RETENTION_MESSAGES_DAYS', read('BELFRY_RETENTION_MESSAGES_DAYS'), 0),
      apiLogs: days('BELFRY_RETENTION_API_LOGS_DAYS', read('BELFRY_RETENTION_API_LOGS_DAYS'), 30),
      audit: days('BELFRY_RETENTION_AUDIT_DAYS', read('BELFRY_RETENTION_AUDIT_DAYS'), 365),
    },
    objectStore: objectStore(read),
    logStore: logStore(read),
  };
}

function logStore(read: (name: string) => string | undefined): Config['logStore'] {
  const text = url('BELFRY_LOG_STORE', read('BELFRY_LOG_STORE'), ['http:', 'https:']);
  const backlogMb = integer(
    'BELFRY_LOG_STORE_BACKLOG_MB',
    read('BELFRY_LOG_STORE_BACKLOG_MB'),
    2_048,
    16,
    1_000_000,
  );
  return text === undefined ? undefined : { url: text, backlogBytes: backlogMb * 1024 * 1024 };
}

function objectStore(read: (name: string) => string | undefined): ObjectStoreSettings | undefined {
  const text = read('BELFRY_OBJECT_STORE');
  const endpoint = url('BELFRY_OBJECT_STORE_ENDPOINT', read('BELFRY_OBJECT_STORE_ENDPOINT'), [
    'http:',
    'https:',
  ]);
  const minBytes = integer(
    'BELFRY_OBJECT_STORE_MIN_BYTES',
    read('BELFRY_OBJECT_STORE_MIN_BYTES'),
    2_048,
    256,
    1_048_576,
  );
  const backlogMb = integer(
    'BELFRY_OBJECT_STORE_BACKLOG_MB',
    read('BELFRY_OBJECT_STORE_BACKLOG_MB'),
    10_240,
    16,
    1_000_000,
  );
  const region = read('BELFRY_OBJECT_STORE_REGION');
  if (text === undefined) return undefined;
  const [, bucket, folder = ''] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(text) ?? [];
  if (bucket === undefined) {
    throw new ConfigError('BELFRY_OBJECT_STORE', text, 'set s3://bucket or s3://bucket/prefix');
  }
  const prefix = folder.replace(/^\/+|\/+$/g, '');
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    endpoint,
    region: region ?? read('AWS_REGION') ?? 'us-east-1',
    minBytes,
    backlogBytes: backlogMb * 1024 * 1024,
  };
}

/** What the commands of the CLI need to talk to a server. */
export type ClientConfig = {
  readonly url: string;
  /** Absolute; where `credentials.json` is looked for. */
  readonly dataDir: string;
  readonly secretKey: string | undefined;
  readonly serviceToken: string | undefined;
  readonly operatorToken: string | undefined;
  readonly colours: boolean;
};

/** The CLI's part of the environment; a server of this machine is found by its own variables. */
export function readClientConfig(env: Readonly<Record<string, string | undefined>>): ClientConfig {
  const read = (name: string): string | undefined => env[name]?.trim() || undefined;
  const { host, port, dataDir } = readConfig(env);
  return {
    url: url('BELFRY_URL', read('BELFRY_URL'), ['http:', 'https:']) ?? localUrl(host, port),
    dataDir,
    secretKey: read('BELFRY_SECRET_KEY'),
    serviceToken: read('BELFRY_SERVICE_TOKEN'),
    operatorToken: read('BELFRY_OPERATOR_TOKEN'),
    colours: read('NO_COLOR') === undefined && read('TERM') !== 'dumb',
  };
}

/** A server of this machine, as this machine reaches it. */
function localUrl(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

function canary(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === 'on') return DEFAULT_CANARY_MS;
  if (text === 'off') return undefined;
  const seconds = Number(text);
  if (!/^\d+$/.test(text) || seconds < 1 || seconds > 3_600) {
    throw new ConfigError(name, text, 'set on, off, or a whole number of seconds from 1 to 3600');
  }
  return seconds * 1_000;
}

/** The database and the server process need the other half. */
function defaultExecutors(): number {
  return Math.max(1, Math.min(Math.floor(availableParallelism() / 2), MAX_DEFAULT_EXECUTORS));
}

function integer(
  name: string,
  text: string | undefined,
  fallback: number,
  least: number,
  most: number,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new ConfigError(name, text, `set a whole number from ${least} to ${most}`);
  }
  return value;
}

function megabytes(name: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : integer(name, text, 0, 0, 1_048_576) * 1_048_576;
}

/** The ledger looks back six days, so a week is the least. */
function days(name: string, text: string | undefined, fallback: number): number | undefined {
  const value = Number(text ?? fallback);
  if (!/^\d+$/.test(text ?? '0') || (value !== 0 && (value < 7 || value > 3_650))) {
    throw new ConfigError(name, text ?? '', 'set a whole number of days from 7 to 3650, or 0');
  }
  return value === 0 ? undefined : value;
}

function emailAddress(name: string, text: string): string {
  if (singleEmailAddress(text)) return text;
  throw new ConfigError(name, text, 'set one e-mail address, like Name <name@example.com>');
}

function flag(name: string, text: string | undefined): boolean {
  const values = ['true', 'false', '1', '0'] as const;
  const value = oneOf(name, text?.toLowerCase(), values, 'false');
  return value === 'true' || value === '1';
}

function oneOf<const Value extends string>(
  name: string,
  text: string | undefined,
  values: readonly Value[],
  fallback: Value,
): Value {
  if (text === undefined) return fallback;
  const found = values.find((value) => value === text);
  if (found === undefined) throw new ConfigError(name, text, `set one of ${values.join(', ')}`);
  return found;
}

function url(
  name: string,
  text: string | undefined,
  protocols: readonly string[],
): string | undefined {
  if (text === undefined) return undefined;
  // PostgreSQL's URLs may name a user and no host: that of a socket, `postgres://me@/db?host=/run`.
  const withHost = text.replace(/^(postgres(?:ql)?:\/\/[^/?#@]*@)(?=\/)/, '$1localhost');
  const parsed = URL.canParse(withHost) ? new URL(withHost) : undefined;
  if (!parsed || !protocols.includes(parsed.protocol)) {
    // The value may hold a password, so the message shows its beginning only.
    const start = text.split(':')[0]?.slice(0, 20) ?? '';
    throw new ConfigError(name, `${start}:…`, `set a URL that begins with ${protocols[0]}//`);
  }
  return text;
}
