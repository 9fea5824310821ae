import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { referenceText } from './reference-text.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import type { Style } from './style.ts';
import { type Cell, fields, table } from './table.ts';
import { timeText } from './time-text.ts';

type MessagesOptions = {
  readonly workflow?: string;
  readonly status?: string;
  readonly tenant?: string;
  readonly run?: string;
  readonly after?: string;
  readonly limit?: string;
};

const BAD = new Set(['undelivered', 'bounced', 'not_sent']);

export function messagesCommand(): Command {
  const command = new Command('messages')
    .description('List messages, newest first; with an id, show one and what happened to it.')
    .argument('[id]', 'message')
    .option('--workflow <key>', 'only of this workflow')
    .option('--status <status>', 'queued, sent, delivered, delivery_attempted, undelivered, ...')
    .option('--tenant <id>', 'only of this tenant')
    .option('--run <id>', 'only of this recipient run')
    .option('--after <cursor>', 'the next page')
    .option('--limit <count>', 'messages of the page, at most 50', '20');
  return withServerOptions(command).action((id: string | undefined, options) =>
    runCommand(options, (ctx) =>
      id === undefined ? listMessages(ctx, options) : showMessage(ctx, id),
    ),
  );
}

async function listMessages(ctx: CommandContext, options: MessagesOptions): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'secret',
    method: 'GET',
    path: '/v1/messages',
    query: {
      source: options.workflow,
      'status[]': options.status,
      tenant: options.tenant,
      workflow_recipient_run_id: options.run,
      after: options.after,
      page_size: options.limit,
    },
  });
  const items = Array.isArray(answer.items) ? answer.items.filter(isJsonObject) : [];
  return {
    json: answer,
    text: (style) => {
      if (items.length === 0) return 'No messages.';
      const rows = items.map((message) => [
        String(message.id),
        channelKey(message),
        referenceText(message.recipient),
        String(message.workflow),
        statusCell(style, message),
        timeText(String(message.inserted_at)),
      ]);
      const next = isJsonObject(answer.page_info) ? answer.page_info.after : null;
      const more = typeof next === 'string' ? `\n${style.dim(`more with --after ${next}`)}` : '';
      const headings = ['MESSAGE', 'CHANNEL', 'RECIPIENT', 'WORKFLOW', 'STATUS', 'MADE'];
      return table(style, headings, rows) + more;
    },
  };
}

async function showMessage(ctx: CommandContext, id: string): Promise<CommandResult> {
  const path = `/v1/messages/${encodeURIComponent(id)}`;
  const get = (what: string) =>
    ctx.client.request({ role: 'secret', method: 'GET', path: path + what });
  const message = await get('');
  const [events, logs] = await Promise.all([get('/events'), get('/delivery_logs')]);
  const list = (answer: JsonObject) =>
    Array.isArray(answer.items) ? answer.items.filter(isJsonObject) : [];
  return {
    json: { ...message, events: list(events), delivery_logs: list(logs) },
    text: (style) => {
      const source = isJsonObject(message.source) ? message.source : {};
      const head = fields(style, [
        ['message', String(message.id)],
        ['channel', channelKey(message)],
        ['recipient', referenceText(message.recipient)],
        ['workflow', String(message.workflow)],
        ['step', String(source.step_ref ?? '')],
        ['run', String(source.workflow_recipient_run_id ?? '')],
        ['status', statusCell(style, message)],
        ['made', timeText(String(message.inserted_at))],
        ['seen', timeText(text(message.seen_at))],
        ['read', timeText(text(message.read_at))],
      ]);
      const story = [...list(events)].reverse();
      const rows = story.map((event) => [timeText(text(event.inserted_at)), String(event.type)]);
      return rows.length === 0 ? head : `${head}\n\n${table(style, ['TIME', 'EVENT'], rows)}`;
    },
  };
}

function channelKey({ channel }: JsonObject): string {
  return isJsonObject(channel) ? String(channel.key) : '';
}

function statusCell(style: Style, message: JsonObject): Cell {
  const status = String(message.status);
  if (BAD.has(status)) return { text: status, mark: style.red };
  const isOpen = status === 'queued' || status === 'delivery_attempted';
  return { text: status, mark: isOpen ? style.yellow : style.green };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
