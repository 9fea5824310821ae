import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import type { Style } from './style.ts';
import { table } from './table.ts';
import { timeText } from './time-text.ts';

const COLUMNS = ['accepted', 'done', 'pending', 'held', 'discarded', 'failed', 'missing'] as const;

type LedgerOptions = { readonly account?: string; readonly minutes?: string };

export function ledgerCommand(): Command {
  return withServerOptions(
    new Command('ledger')
      .description('Whether all accepted work is accounted for; exit code 1 when some is not.')
      .option('--account <name>', 'only of this account')
      .option('--minutes <n>', 'how many minutes to show', '15'),
  ).action((options) => runCommand(options, (ctx) => ledger(ctx, options)));
}

async function ledger(ctx: CommandContext, options: LedgerOptions): Promise<CommandResult> {
  const { account, minutes } = options;
  const answer = await ctx.client.request({
    role: 'operator',
    method: 'GET',
    path: '/ops/v1/ledger',
    query: { account, minutes },
  });
  return {
    json: answer,
    failed: answer.state === 'gap',
    text: (style) => {
      const gaps = entriesOf(answer.gaps);
      const entries = entriesOf(answer.entries);
      return [
        sentence(answer, style),
        ...(gaps.length > 0 ? [style.red('Gaps:'), rows(style, gaps)] : []),
        ...(entries.length > 0 ? ['', rows(style, entries)] : []),
      ].join('\n');
    },
  };
}

function sentence(answer: JsonObject, style: Style): string {
  if (answer.state === 'unchecked') {
    return 'The ledger was not checked yet; the first check ends within a minute of the start.';
  }
  const checked = `checked ${timeText(String(answer.checked_at))}`;
  return answer.state === 'gap'
    ? style.red(`The ledger has a gap of ${String(answer.gap_runs)} runs (${checked}).`)
    : `The ledger balances (${checked}).`;
}

function rows(style: Style, entries: readonly JsonObject[]): string {
  return table(
    style,
    ['MINUTE', 'ACCOUNT', 'ENVIRONMENT', ...COLUMNS.map((name) => name.toUpperCase())],
    entries.map((entry) => [
      timeText(String(entry.minute)),
      String(entry.account),
      String(entry.environment),
      ...COLUMNS.map((name) => {
        const text = String(entry[name] ?? '');
        return name === 'missing' && text !== '0' ? { text, mark: style.red } : text;
      }),
    ]),
  );
}

function entriesOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
