import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import type { Style } from './style.ts';
import { type Cell, fields, table } from './table.ts';
import { timeText } from './time-text.ts';

type LogsOptions = {
  readonly method?: string;
  readonly path?: string;
  readonly status?: string;
  readonly key?: string;
  readonly before?: string;
  readonly limit?: string;
};

export function logsCommand(): Command {
  const command = new Command('logs')
    .description('List requests to the API, newest first; with an x-request-id, show one.')
    .argument('[id]', 'the x-request-id of an answer')
    .option('--method <method>', 'GET, POST, PUT, PATCH or DELETE')
    .option('--path <beginning>', 'only paths that begin so: /v1/users/ada')
    .option('--status <status>', '404, 4xx, 5xx, or failed: 400 and above')
    .option('--key <id>', 'only with this key: key_12')
    .option('--before <id>', 'the next page')
    .option('--limit <count>', 'requests of the page, at most 200', '20');
  return withServerOptions(command).action((id: string | undefined, options) =>
    runCommand(options, (ctx) => (id === undefined ? listLogs(ctx, options) : showLog(ctx, id))),
  );
}

async function listLogs(ctx: CommandContext, options: LogsOptions): Promise<CommandResult> {
  const { method, path, status, key, before, limit } = options;
  const answer = await ctx.client.request({
    role: 'service',
    method: 'GET',
    path: '/control/v1/api_logs',
    query: {
      environment: ctx.environment,
      ...{ path, status, before, limit },
      method: method?.toUpperCase(),
      api_key: key,
    },
  });
  const entries = Array.isArray(answer.entries) ? answer.entries.filter(isJsonObject) : [];
  return {
    json: answer,
    text: (style) => {
      const rows = entries.map((entry) => [
        timeText(String(entry.inserted_at)),
        statusCell(style, entry),
        String(entry.method),
        String(entry.path),
        `${Math.round(Number(entry.duration_ms))} ms`,
        String(entry.id),
      ]);
      const list =
        rows.length === 0
          ? 'No requests.'
          : table(style, ['AT', 'STATUS', 'METHOD', 'PATH', 'TOOK', 'REQUEST'], rows);
      const skipped =
        Number(answer.skipped) > 0
          ? style.dim(
              `${answer.skipped} more of this hour were not recorded: over the account's rate`,
            )
          : '';
      const older =
        typeof answer.next === 'string' ? style.dim(`older with --before ${answer.next}`) : '';
      return [list, skipped, older].filter((line) => line !== '').join('\n');
    },
  };
}

async function showLog(ctx: CommandContext, id: string): Promise<CommandResult> {
  const entry = await ctx.client.request({
    role: 'service',
    method: 'GET',
    path: `/control/v1/api_logs/${encodeURIComponent(id)}`,
    query: { environment: ctx.environment },
  });
  return {
    json: entry,
    text: (style) => {
      const head = fields(style, [
        ['request', String(entry.id)],
        ['at', timeText(String(entry.inserted_at))],
        ['asked', `${entry.method} ${entry.path}`],
        ['route', String(entry.route)],
        ['status', String(entry.status)],
        ['took', `${entry.duration_ms} ms`],
        ['key', String(entry.api_key_id ?? '')],
      ]);
      const body = (title: string, value: unknown) =>
        value === null || value === undefined
          ? []
          : ['', style.dim(title), JSON.stringify(value, null, 2)];
      return [head, ...body('request', entry.request), ...body('response', entry.response)].join(
        '\n',
      );
    },
  };
}

function statusCell(style: Style, { status }: JsonObject): Cell {
  const text = String(status);
  return { text, mark: Number(status) >= 400 ? style.red : style.green };
}
