import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { Command } from 'commander';
import { type Config, ConfigError, readConfig } from '../config.ts';
import { StartError } from '../db/start-error.ts';
import type { RunningServer } from '../main.ts';
import { databasePlace } from './database-place.ts';
import { print, showFailure } from './run-command.ts';
import { createStyle, type Style } from './style.ts';

/**
 * A terminal signals the whole process group, and npm, which is in it, passes the signal on: one
 * press of a key arrives twice, some milliseconds apart.
 */
const ECHO_MS = 150;

export function startCommand(): Command {
  return new Command('start')
    .description('Start the server: database, engine, API and pages on one origin.')
    .option('--json', 'one JSON document on stdout instead of the line "ready URL"')
    .action((options: { readonly json?: boolean }) => start(options.json === true));
}

async function start(json: boolean): Promise<void> {
  let config: Config | undefined;
  const waiting = new AbortController();
  const stopping = stopOnSignal(waiting);
  try {
    config = readConfig(process.env);
    // Not before: the other commands need no server.
    const { startServer } = await import('../main.ts');
    const server = await startServer(config, {
      onStandby: (sentence) => process.stderr.write(`${sentence}\n`),
      signal: waiting.signal,
    });
    stopping.use(server);
    if (server.isFirstStart) showKeys(config, server);
    await print(json ? JSON.stringify(readyDocument(config, server)) : `ready ${server.url}`);
    flushCompileCache();
  } catch (error) {
    if (waiting.signal.aborted) process.exit(0);
    await showStartFailure(error, config, json);
    process.exit(1);
  }
}

/**
 * The first signal lets work under way finish and exits 0, also while the start goes on; the second
 * one exits at once.
 */
function stopOnSignal(waiting: AbortController): { use: (server: RunningServer) => void } {
  let server: RunningServer | undefined;
  let signals = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  const drain = async (): Promise<void> => {
    if (!server) return;
    try {
      await server.stop();
      process.exit(0);
    } catch (error) {
      process.stderr.write(`The server did not stop cleanly: ${reasonOf(error)}\n`);
      process.exit(1);
    }
  };
  const onSignal = (): void => {
    const nowMs = performance.now();
    if (nowMs - lastMs < ECHO_MS) return;
    lastMs = nowMs;
    signals += 1;
    if (signals > 1) process.exit(1);
    waiting.abort();
    void drain();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGHUP', onSignal);
  if (process.channel) {
    // A launcher under an older Node is the parent; without it nobody could stop this process.
    process.once('disconnect', onSignal);
    process.channel.unref();
  }
  return {
    use: (started) => {
      server = started;
      if (signals > 0) void drain();
    },
  };
}

function showKeys(config: Config, { url, credentials }: RunningServer): void {
  const development = credentials?.environments.development;
  if (!development) return;
  const style: Style = createStyle(process.stderr.isTTY);
  const lines = [
    '',
    `${style.bold('Welcome to Belfry.')} This first start made the account ${credentials.account}.`,
    `Its keys for development, in ${join(config.dataDir, 'credentials.json')} with all others:`,
    '',
    `  secret key     ${development.secret_key}`,
    `  public key     ${development.public_key}`,
    `  service token  ${credentials.service_token}`,
    '',
    `Ring the bell at ${style.bold(url)}`,
    '',
  ];
  process.stderr.write(`${lines.join('\n')}\n`);
}

function readyDocument(config: Config, server: RunningServer): object {
  return { ready: server.url, data_dir: config.dataDir, first_start: server.isFirstStart };
}

async function showStartFailure(
  error: unknown,
  config: Config | undefined,
  json: boolean,
): Promise<void> {
  const isVerbose = config?.logLevel === 'debug' || config?.logLevel === 'trace';
  if (isVerbose && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  const isKnown = error instanceof StartError || error instanceof ConfigError;
  await showFailure(isKnown ? error : new StartError(await unknownReason(error, config)), json);
}

/** What the operating system or the database said, with what it was about. */
async function unknownReason(error: unknown, config: Config | undefined): Promise<string> {
  const { isDiskFull } = await import('../db/database.ts');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const said = reasonOf(error);
  const more = 'BELFRY_LOG_LEVEL=debug tells more, `belfry doctor` looks at the set-up';
  if (code === 'ENOSPC' || isDiskFull(error)) {
    return `No space is left for ${config?.dataDir ?? 'the data directory'}; free some, or set BELFRY_DATA_DIR to a directory elsewhere.`;
  }
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code)) {
    return `${said}; the data directory ${config?.dataDir ?? ''} must be writable for this user, or set BELFRY_DATA_DIR to another one.`;
  }
  if (config?.databaseUrl !== undefined && isDatabaseTrouble(code)) {
    return `The database ${databasePlace(config.databaseUrl)} cannot be used (${said}); start it, or correct DATABASE_URL.`;
  }
  return `Belfry cannot start: ${said}. ${more}.`;
}

function isDatabaseTrouble(code: string): boolean {
  return /^(E[A-Z]+|08...|28...|3D000|53...|57P..)$/.test(code);
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(reasonOf).join(', ');
  }
  return error instanceof Error ? error.message || error.name : String(error);
}
