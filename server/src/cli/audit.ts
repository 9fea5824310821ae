import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import { scopeText } from './scope-text.ts';
import { table } from './table.ts';
import { timeText } from './time-text.ts';

type AuditOptions = {
  readonly account?: string;
  readonly before?: string;
  readonly limit: string;
};

export function auditCommand(): Command {
  return withServerOptions(
    new Command('audit')
      .description('Who did what, when and why; newest first.')
      .option('--account <name>', 'only what is about this account')
      .option('--before <id>', 'only what came before this line')
      .option('--limit <n>', 'how many lines', '50'),
  ).action((options) => runCommand(options, (ctx) => audit(ctx, options)));
}

async function audit(ctx: CommandContext, options: AuditOptions): Promise<CommandResult> {
  const { account, before, limit } = options;
  const answer = await ctx.client.request({
    role: 'operator',
    method: 'GET',
    path: '/ops/v1/audit',
    query: { account, before, limit },
  });
  const entries = Array.isArray(answer.entries) ? answer.entries.filter(isJsonObject) : [];
  return {
    json: answer,
    text: (style) => {
      if (entries.length === 0) return 'Nothing was done yet.';
      const rows = table(
        style,
        ['LINE', 'AT', 'WHO', 'DID', 'TO', 'CONCERNED', 'WHY'],
        entries.map((line) => [
          String(line.id),
          timeText(String(line.at)),
          String(line.author),
          [line.action, line.order].filter((part) => part !== null).join(' '),
          scopeText(line.scope),
          isJsonObject(line.concerned) ? concernedText(line.concerned) : '',
          String(line.reason),
        ]),
      );
      const older = typeof answer.next === 'number' ? `belfry audit --before ${answer.next}` : '';
      return older === '' ? rows : `${rows}\n${style.dim(`Older lines: ${older}`)}`;
    },
  };
}

function concernedText(concerned: JsonObject): string {
  return Object.entries(concerned)
    .filter(([, value]) => typeof value !== 'object' && value !== false)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}
