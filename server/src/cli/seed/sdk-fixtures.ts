import { pino } from 'pino';
import { readConfig } from '../../config.ts';
import { openDatabase } from '../../db/database.ts';
import { createClient } from '../client.ts';
import { runningEmbeddedUrl } from '../doctor/database.ts';
import { CliError, type CommandResult } from '../result.ts';
import type { CommandContext } from '../run-command.ts';
import { fields, table } from '../table.ts';
import { CHANNELS, PUSH, ROUNDS, SUITE_KEY } from './fixtures.ts';
import { seedOverApi } from './over-api.ts';
import { seedRows } from './rows.ts';

/** Makes what the suites ask for, in the database and over the API. */
export async function seedSdkFixtures(
  ctx: CommandContext,
  isSure: boolean,
): Promise<CommandResult> {
  const slug = ctx.environment;
  if (slug === 'production') {
    throw new CliError(
      'usage',
      `${JSON.stringify(SUITE_KEY)} would open production, and everybody knows it; take another environment.`,
    );
  }
  const account = await ctx.client.request({
    role: 'service',
    method: 'GET',
    path: '/control/v1/whoami',
  });
  const environment = `${String(account.account_name)}/${slug}`;
  await withDatabase(ctx, (db) => seedRows(db, { environment, isSure, nowMs: Date.now() }));
  const client = createClient({ ...ctx.config, secretKey: SUITE_KEY }, slug);
  const standIns = await seedOverApi(client, slug).catch((error: unknown) => {
    if (!(error instanceof CliError) || error.code !== 'api_key_missing') throw error;
    throw new CliError(
      error.code,
      `The server does not know the key that the database has. Is it the database of ${ctx.config.url}? A server that was asked for the key before knows it 5 s later.`,
    );
  });
  const made = {
    secret_key: SUITE_KEY,
    channels: CHANNELS.map(({ id }) => id),
    workflows: PUSH.workflows.map(({ key }) => key),
    guides: PUSH.guides.map(({ key }) => key),
    things: ROUNDS.flat().map(({ path }) => path),
  };
  return {
    json: { environment, made, stand_ins: standIns },
    text: (style) =>
      [
        fields(style, [
          ['environment', environment],
          ['secret key', SUITE_KEY],
          ['channels', made.channels.join(' ')],
          ['workflows', made.workflows.join(' ')],
          ['guides', made.guides.join(' ')],
          ['and', made.things.join(' ')],
        ]),
        '',
        'Ids that nothing here can have; these stand in for them:',
        table(
          style,
          ['FILE OF THE SUITE', 'ID THERE', 'ID HERE'],
          Object.entries(standIns).flatMap(([file, ids]) =>
            Object.entries(ids).map(([there, here]) => [file, there, here]),
          ),
        ),
        '',
        style.bold(`Everybody knows this key: keep ${ctx.config.url} away from others.`),
      ].join('\n'),
  };
}

async function withDatabase<Result>(
  { env, config }: CommandContext,
  work: (db: ReturnType<typeof openDatabase>) => Promise<Result>,
): Promise<Result> {
  const url = readConfig(env).databaseUrl ?? (await runningEmbeddedUrl(config.dataDir));
  if (url === undefined) {
    throw new CliError(
      'database_unreachable',
      `No database runs in ${config.dataDir}; set DATABASE_URL to the server's, or --data-dir to its data directory.`,
    );
  }
  const db = openDatabase({
    url,
    max: 1,
    applicationName: 'belfry seed',
    log: pino({ level: 'silent' }),
  });
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}
