import { Argument, Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { type ByOptions, byFields, withByOptions } from './author.ts';
import { parseDuration } from './duration.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import type { Style } from './style.ts';
import { printable, table } from './table.ts';
import { timeText } from './time-text.ts';

const LEVELS = ['normal', 'surge', 'paused', 'reject', 'automatic'];

type SetOptions = ByOptions & { readonly for: string };

export function quarantineCommand(): Command {
  const command = new Command('quarantine').description(
    'Accounts that flood: which, why, and what is done about it.',
  );
  command.addCommand(
    withServerOptions(
      new Command('list')
        .description('List the accounts that are not normal and the latest changes.')
        .option('--events <n>', 'how many changes to show, at most 200', '10'),
    ).action((options) => runCommand(options, (ctx) => list(ctx, options.events))),
    { isDefault: true },
  );
  command.addCommand(
    withByOptions(
      withServerOptions(
        new Command('set')
          .description('Set the level of an account by hand, or let the rules decide again.')
          .argument('<account>', 'its name')
          .addArgument(new Argument('<level>', 'what it is to be').choices(LEVELS))
          .option('--for <time>', 'how long, like 30m, 2h or 1d; at most 7d', '1h'),
      ),
    ).action((account: string, level: string, options) =>
      runCommand(options, (ctx) => set(ctx, account, level, options)),
    ),
  );
  return command;
}

async function list(ctx: CommandContext, events: string): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'operator',
    method: 'GET',
    path: '/ops/v1/quarantine',
    query: { events },
  });
  return { json: answer, text: (style) => listText(answer, style) };
}

function listText(answer: JsonObject, style: Style): string {
  const accounts = objectsOf(answer.accounts);
  const changes = objectsOf(answer.events);
  const mode = answer.mode === 'act' ? [] : [style.dim(`Quarantine is in mode ${answer.mode}.`)];
  const now =
    accounts.length === 0
      ? [style.green('Every account is normal.')]
      : accounts.map((entry) => {
          const level = `${entry.level}${entry.shadow === true ? ' (shadow)' : ''}`;
          const hand = isJsonObject(entry.hand)
            ? `, by ${entry.hand.author} until ${timeText(String(entry.hand.until))}`
            : '';
          const line = `${level}${hand}: ${entry.line}`;
          return entry.level === 'noisy' ? printable(line) : style.red(printable(line));
        });
  const rows = changes.map((event) => [
    timeText(String(event.at)),
    accountText(event.account),
    `${event.from} -> ${event.to}${event.shadow === true ? ' (shadow)' : ''}`,
    typeof event.author === 'string'
      ? `${event.because}: ${event.author}, ${event.reason}`
      : String(event.because),
  ]);
  const table_ =
    rows.length > 0 ? ['', table(style, ['AT', 'ACCOUNT', 'CHANGE', 'BECAUSE'], rows)] : [];
  return [...mode, ...now, ...table_].join('\n');
}

async function set(
  ctx: CommandContext,
  account: string,
  level: string,
  options: SetOptions,
): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'operator',
    method: 'POST',
    path: '/ops/v1/quarantine',
    body: {
      account,
      level,
      expires_in_s: parseDuration('--for', options.for),
      ...byFields(options),
    },
  });
  const until = typeof answer.until === 'string' ? ` until ${timeText(answer.until)}` : '';
  const unwritten = answer.recorded === true ? '' : ' It is done, but not written down yet.';
  return { json: answer, text: () => `${account} is ${level}${until}.${unwritten}` };
}

function accountText(account: unknown): string {
  if (!isJsonObject(account)) return '';
  return printable(typeof account.name === 'string' ? account.name : `#${account.id}`);
}

function objectsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
