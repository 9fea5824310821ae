import { pino } from 'pino';
import { readConfig } from '../../config.ts';
import type { CommandResult } from '../result.ts';
import type { CommandContext } from '../run-command.ts';
import type { Style } from '../style.ts';
import type { Check } from './check.ts';
import {
  checkDatabase,
  checkEmbeddedBinaries,
  checkEmbeddedData,
  runningEmbeddedUrl,
} from './database.ts';
import { checkLogStore } from './log-store.ts';
import {
  checkClock,
  checkCredentials,
  checkDataDir,
  checkDisk,
  checkNode,
  checkWebBuild,
} from './machine.ts';
import { checkMailServer, checkServer } from './network.ts';
import { checkObjectStore } from './object-store.ts';

const silentLog = pino({ level: 'silent' });

/** Looks at everything, one check after the other. */
export async function diagnose(ctx: CommandContext): Promise<CommandResult> {
  const { dataDir, url } = ctx.config;
  const { databaseUrl, smtpUrl, objectStore, logStore } = readConfig(ctx.env);
  const server = await checkServer(url);
  const checks: readonly Check[] = [
    checkNode(process.versions.node),
    await checkDataDir(dataDir),
    await checkDisk(dataDir),
    ...(databaseUrl === undefined
      ? await checkEmbedded(dataDir)
      : await checkDatabase(databaseUrl, silentLog)),
    ...server.checks,
    await checkMailServer(smtpUrl),
    ...(objectStore === undefined ? [] : [await checkObjectStore(objectStore)]),
    ...(logStore === undefined ? [] : [await checkLogStore(logStore.url, Date.now)]),
    await checkWebBuild(),
    await checkCredentials(dataDir),
    checkClock(Date.now(), server.date),
  ];
  const failed = checks.some(({ state }) => state === 'fail');
  const json = checks.map(({ name, state, finding, wayOut }) => ({
    name,
    state,
    finding,
    ...(wayOut === undefined ? {} : { way_out: wayOut }),
  }));
  return { json: { ok: !failed, checks: json }, text: (style) => report(style, checks), failed };
}

async function checkEmbedded(dataDir: string): Promise<readonly Check[]> {
  const { major, ...binaries } = await checkEmbeddedBinaries();
  const files = await checkEmbeddedData(dataDir, major);
  const url = await runningEmbeddedUrl(dataDir);
  return [
    binaries,
    ...(files === undefined ? [] : [files]),
    ...(url === undefined ? [] : await checkDatabase(url, silentLog)),
  ];
}

function report(style: Style, checks: readonly Check[]): string {
  const marks = { ok: style.green('ok  '), warn: style.yellow('warn'), fail: style.red('fail') };
  const longest = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, state, finding, wayOut }) => [
    `${marks[state]}  ${name.padEnd(longest)}  ${finding}`,
    ...(wayOut === undefined ? [] : [`${' '.repeat(longest + 8)}${style.bold(wayOut)}`]),
  ]);
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length;
  const summary =
    count('fail') === 0
      ? style.green(count('warn') === 0 ? 'All is well.' : 'Nothing is broken.')
      : style.red(`${count('fail')} of ${checks.length} checks failed.`);
  return [...lines, '', summary].join('\n');
}
