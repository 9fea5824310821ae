import type { Command } from 'commander';
import { type ClientConfig, ConfigError, readClientConfig } from '../config.ts';
import { StartError } from '../db/start-error.ts';
import { type Client, createClient } from './client.ts';
import { CliError, type CommandResult } from './result.ts';
import { createStyle } from './style.ts';

/** The options that every command has. */
export type CommonOptions = {
  readonly json?: boolean;
  readonly url?: string;
  readonly dataDir?: string;
  readonly environment?: string;
  readonly secretKey?: string;
  readonly serviceToken?: string;
  readonly operatorToken?: string;
};

export type CommandContext = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly config: ClientConfig;
  readonly client: Client;
  /** Slug of the environment that the command is about. */
  readonly environment: string;
  readonly json: boolean;
  /** Something for a person while the command goes on: stderr. */
  readonly say: (line: string) => void;
};

/**
 * Gives a command of a running server the options to find the server and its keys. `any`: without
 * `--environment` the command is about all of them.
 */
export function withServerOptions(command: Command, environment: 'one' | 'any' = 'one'): Command {
  command
    .option('--url <url>', 'server to talk to (BELFRY_URL, http://127.0.0.1:4400)')
    .option('--data-dir <dir>', 'where credentials.json is (BELFRY_DATA_DIR, ./.belfry)');
  if (environment === 'any') command.option('--environment <slug>', 'only of this environment');
  else command.option('--environment <slug>', 'environment of the account', 'development');
  return command
    .option('--secret-key <key>', 'instead of the one in credentials.json (BELFRY_SECRET_KEY)')
    .option('--service-token <token>', 'likewise (BELFRY_SERVICE_TOKEN)')
    .option('--operator-token <token>', 'likewise (BELFRY_OPERATOR_TOKEN)')
    .option('--json', 'one JSON document on stdout');
}

/**
 * Runs a command and shows what it found: JSON or text on stdout, messages on stderr, exit code 1
 * for a failure. With `--json` a failure is a document too: `{"error":{code,message,details}}`.
 */
export async function runCommand(
  options: CommonOptions,
  run: (ctx: CommandContext) => Promise<CommandResult>,
): Promise<void> {
  const json = options.json === true;
  const { env } = process;
  try {
    const config = clientConfig(env, options);
    const environment = options.environment ?? 'development';
    const result = await run({
      env,
      config,
      environment,
      json,
      client: createClient(config, environment),
      say: (line) => process.stderr.write(`${line}\n`),
    });
    if (json) await print(JSON.stringify(result.json, null, 2));
    else await print(result.text(createStyle(process.stdout.isTTY && config.colours)));
    if (result.failed) process.exitCode = 1;
  } catch (error) {
    await showFailure(error, json);
    process.exitCode = 1;
  }
}

function clientConfig(
  env: Readonly<Record<string, string | undefined>>,
  options: CommonOptions,
): ClientConfig {
  return readClientConfig({
    ...env,
    ...(options.url === undefined ? {} : { BELFRY_URL: options.url }),
    ...(options.dataDir === undefined ? {} : { BELFRY_DATA_DIR: options.dataDir }),
    ...(options.secretKey === undefined ? {} : { BELFRY_SECRET_KEY: options.secretKey }),
    ...(options.serviceToken === undefined ? {} : { BELFRY_SERVICE_TOKEN: options.serviceToken }),
    ...(options.operatorToken === undefined
      ? {}
      : { BELFRY_OPERATOR_TOKEN: options.operatorToken }),
  });
}

/** The failure on stderr, and with `--json` as a document on stdout. */
export async function showFailure(error: unknown, json: boolean): Promise<void> {
  const { code, message, details } = known(error);
  process.stderr.write(`${message}\n`);
  const isSaid = details.length === 1 && message.includes(details[0]?.reason ?? '');
  for (const { file, path, reason } of isSaid ? [] : details) {
    const place = [file, path].filter((part) => part).join(': ');
    process.stderr.write(`  ${place === '' ? '' : `${place}: `}${reason}\n`);
  }
  if (json) await print(JSON.stringify({ error: { code, message, details } }, null, 2));
}

function known(error: unknown): Pick<CliError, 'code' | 'message' | 'details'> {
  if (error instanceof CliError) return error;
  const details: CliError['details'] = [];
  if (error instanceof StartError) return { code: 'cannot_start', message: error.message, details };
  if (error instanceof ConfigError)
    return { code: 'configuration', message: error.message, details };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'defect', message: `This is a defect of Belfry: ${text}`, details };
}

/** Resolves when the text is handed over, so that an exit cuts nothing off. */
export function print(text: string): Promise<void> {
  if (text === '') return Promise.resolve();
  return new Promise((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
}
