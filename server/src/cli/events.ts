import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { parseDuration } from './duration.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import type { Style } from './style.ts';
import { type Cell, table } from './table.ts';
import { timeText } from './time-text.ts';

type EventsOptions = {
  readonly recipient?: string;
  readonly collection?: string;
  readonly tenant?: string;
  readonly workflow?: string;
  readonly channel?: string;
  readonly type?: string;
  readonly message?: string;
  readonly run?: string;
  readonly since?: string;
  readonly until?: string;
  readonly after?: string;
  readonly limit?: string;
  readonly counts?: boolean;
};

export function eventsCommand(): Command {
  const command = new Command('events')
    .description('Search what happened to messages, newest first; with --counts, count it by hour.')
    .option('--recipient <id>', 'only of this user, or with --collection object')
    .option('--collection <name>', 'the collection of the object')
    .option('--tenant <id>', 'only of this tenant')
    .option('--workflow <key>', 'only of this workflow')
    .option('--channel <id>', 'only of this channel, by its UUID')
    .option('--type <types>', 'only what is one of these: sent,bounced')
    .option('--message <id>', 'only of this message')
    .option('--run <id>', 'only of this workflow recipient run')
    .option('--since <time>', 'how far back: 90s, 30m, 2h, 7d; 7d, with --counts 1d, by default')
    .option('--until <time>', 'before this time: 2026-01-31T12:00:00Z')
    .option('--after <cursor>', 'the next page')
    .option('--limit <count>', 'events of the page, at most 50', '20')
    .option('--counts', 'count by hour and type');
  return withServerOptions(command).action((options) =>
    runCommand(options, (ctx) =>
      options.counts ? countEvents(ctx, options) : listEvents(ctx, options),
    ),
  );
}

function query(ctx: CommandContext, options: EventsOptions) {
  const { recipient, collection, tenant, workflow, channel, type, message, run, since, until } =
    options;
  const end = until === undefined ? Date.now() : Date.parse(until);
  const from =
    since === undefined || Number.isNaN(end)
      ? undefined
      : new Date(end - parseDuration('--since', since) * 1_000).toISOString();
  return {
    environment: ctx.environment,
    ...{ recipient, collection, tenant, workflow, type, until, from },
    ...{ channel_id: channel, message_id: message, workflow_recipient_run_id: run },
  };
}

async function listEvents(ctx: CommandContext, options: EventsOptions): Promise<CommandResult> {
  const { after, limit } = options;
  const answer = await ctx.client.request({
    role: 'service',
    method: 'GET',
    path: '/control/v1/events',
    query: { ...query(ctx, options), after, page_size: limit },
  });
  const entries = entriesOf(answer);
  return {
    json: answer,
    text: (style) => {
      const list =
        entries.length === 0
          ? 'No events.'
          : table(
              style,
              ['AT', 'EVENT', 'RECIPIENT', 'WORKFLOW', 'CHANNEL', 'MESSAGE'],
              entries.map((entry) => [
                timeText(String(entry.inserted_at)),
                typeCell(style, String(entry.type)),
                recipientText(entry.recipient),
                String(entry.workflow),
                String(entry.channel_type),
                String(entry.message_id),
              ]),
            );
      const page = isJsonObject(answer.page_info) ? answer.page_info : {};
      const older =
        typeof page.after === 'string' ? style.dim(`older with --after ${page.after}`) : '';
      return lines(list, ageText(style, answer), older);
    },
  };
}

async function countEvents(ctx: CommandContext, options: EventsOptions): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'service',
    method: 'GET',
    path: '/control/v1/events/counts',
    query: query(ctx, options),
  });
  const entries = entriesOf(answer);
  return {
    json: answer,
    text: (style) =>
      lines(
        entries.length === 0
          ? 'No events.'
          : table(
              style,
              ['HOUR', 'EVENT', 'COUNT'],
              entries.map((entry) => [
                timeText(String(entry.hour)),
                typeCell(style, String(entry.type)),
                String(entry.count),
              ]),
            ),
        ageText(style, answer),
      ),
  };
}

const entriesOf = (answer: JsonObject): JsonObject[] =>
  Array.isArray(answer.entries) ? answer.entries.filter(isJsonObject) : [];

const lines = (...all: readonly string[]): string => all.filter((line) => line !== '').join('\n');

const BAD = new Set(['message.bounced', 'message.undelivered', 'message.delivery_attempted']);

function typeCell(style: Style, type: string): Cell {
  const text = type.replace(/^message\./, '');
  return BAD.has(type) ? { text, mark: style.red } : text;
}

function recipientText(recipient: unknown): string {
  if (!isJsonObject(recipient)) return String(recipient);
  return `${String(recipient.collection)}/${String(recipient.id)}`;
}

/** Nothing when the answer is of now. */
function ageText(style: Style, answer: JsonObject): string {
  if (answer.lagging !== true) return '';
  return style.red(
    `The log store is behind: this is as of ${timeText(String(answer.data_as_of))}.`,
  );
}
