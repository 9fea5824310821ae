import { Command, Option } from 'commander';
import { windows } from '../ops/dimension.ts';
import { showLive } from './live.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import { createStyle } from './style.ts';
import { topView } from './top-view.ts';

const ENTRIES = 20;

export function topCommand(): Command {
  const command = new Command('top')
    .description('Show who makes the traffic, live: account, key, workflow, how far above normal.')
    .addOption(
      new Option('--window <time>', 'over how long to look back')
        .choices(Object.keys(windows))
        .default('10s'),
    )
    .option('--once', 'show it once, also on a terminal');
  return withServerOptions(command).action((options) =>
    runCommand(options, (ctx) => top(ctx, options)),
  );
}

async function top(
  ctx: CommandContext,
  { window, once }: { readonly window: string; readonly once?: boolean },
): Promise<CommandResult> {
  const read = () =>
    ctx.client.request({
      role: 'operator',
      method: 'GET',
      path: '/ops/v1/top',
      query: { window, limit: String(ENTRIES) },
    });
  const answer = await read();
  const { stdin, stdout } = process;
  if (ctx.json || once || !stdout.isTTY || !stdin.isTTY) {
    const columns = stdout.isTTY ? stdout.columns : undefined;
    return {
      json: answer,
      text: (style) => topView(answer, { columns, rows: undefined, style }).join('\n'),
    };
  }
  const style = createStyle(ctx.config.colours);
  await showLive({
    stdin,
    stdout,
    first: answer,
    read,
    view: (value, { columns, rows }) => topView(value, { columns, rows, style }),
  });
  // A read of a server that hangs would keep the process for half a minute.
  process.exit(0);
}
