import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { CliError, type CommandResult } from './result.ts';
import {
  type CommandContext,
  type CommonOptions,
  runCommand,
  withServerOptions,
} from './run-command.ts';
import { table } from './table.ts';
import { timeText } from './time-text.ts';

const PATH = '/control/v1/webhooks';

type AddOptions = CommonOptions & { readonly events?: string; readonly description?: string };
type LogOptions = CommonOptions & { readonly status?: string; readonly after?: string };
type ReplayOptions = CommonOptions & {
  readonly delivery?: string;
  readonly from?: string;
  readonly until?: string;
  readonly all?: boolean;
};

export function webhooksCommand(): Command {
  const webhooks = new Command('webhooks').description(
    'URLs that are told what happens: list, add, remove, disable, enable, rotate, log and replay.',
  );
  webhooks.addCommand(
    withServerOptions(
      new Command('list').description('List the webhooks of the environment and how they do.'),
    ).action((options) => runCommand(options, list)),
  );
  webhooks.addCommand(
    withServerOptions(
      new Command('add')
        .description('Tell a URL of events from now on; prints the secret, once.')
        .argument('<address>', 'where events are posted')
        .option('--events <types>', 'comma-separated, such as message.bounced; absent: all')
        .option('--description <text>', 'what it is for'),
    ).action((address: string, options: AddOptions) =>
      runCommand(options, (ctx) => add(ctx, address, options)),
    ),
  );
  webhooks.addCommand(
    one('remove', 'Remove a webhook; what waits for it is sent to nobody.').action(
      (id: string, options: CommonOptions) => runCommand(options, (ctx) => remove(ctx, id)),
    ),
  );
  webhooks.addCommand(
    one('disable', 'Send it nothing, and record nothing for it, until it is enabled.')
      .option('--reason <text>', 'why, for the list')
      .action((id: string, options: CommonOptions & { readonly reason?: string }) =>
        runCommand(options, (ctx) => disable(ctx, id, options.reason)),
      ),
  );
  webhooks.addCommand(
    one('enable', 'Send it events again, also those that wait.').action(
      (id: string, options: CommonOptions) => runCommand(options, (ctx) => enable(ctx, id)),
    ),
  );
  webhooks.addCommand(
    one(
      'rotate',
      'Make a new secret and print it, once; the old one counts for a day more.',
    ).action((id: string, options: CommonOptions) => runCommand(options, (ctx) => rotate(ctx, id))),
  );
  webhooks.addCommand(
    one('log', 'What was sent to it and what it answered, newest first.')
      .option('--status <status>', 'only waiting, delivered, failed or dropped')
      .option('--after <cursor>', 'the page after this one')
      .action((id: string, options: LogOptions) =>
        runCommand(options, (ctx) => log(ctx, id, options)),
      ),
  );
  webhooks.addCommand(
    one('replay', 'Send one event again, or those of a time.')
      .option('--delivery <id>', 'one event, as the log shows it')
      .option('--from <time>', 'or all from then on, such as 2026-11-21T09:00:00Z')
      .option('--until <time>', 'and before then; now when absent')
      .option('--all', 'of the time, what was delivered too')
      .action((id: string, options: ReplayOptions) =>
        runCommand(options, (ctx) => replay(ctx, id, options)),
      ),
  );
  return webhooks;
}

function one(name: string, description: string): Command {
  return withServerOptions(
    new Command(name).description(description).argument('<webhook>', 'id, as the list shows it'),
  );
}

function call(
  ctx: CommandContext,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  more: { readonly query?: Record<string, string | undefined>; readonly body?: unknown } = {},
): Promise<JsonObject> {
  return ctx.client.request({
    role: 'service',
    method,
    path: `${PATH}${path}`,
    ...more,
    query: { environment: ctx.environment, ...more.query },
  });
}

const place = (id: string, rest = ''): string => `/${encodeURIComponent(id)}${rest}`;

async function list(ctx: CommandContext): Promise<CommandResult> {
  const answer = await call(ctx, 'GET', '');
  const entries = objects(answer.entries);
  const rows = entries.map((entry) => [
    String(entry.id),
    String(entry.status),
    String(Array.isArray(entry.events) ? entry.events.length : 0),
    String(entry.url),
    String(entry.reason ?? (entry.last_error === null ? '' : `failing: ${entry.last_error}`)),
  ]);
  return {
    json: answer,
    text: (style) =>
      entries.length === 0
        ? `${ctx.environment} has no webhooks. Add one with: belfry webhooks add URL`
        : table(style, ['WEBHOOK', 'STATUS', 'EVENTS', 'URL', 'WHY'], rows),
  };
}

async function add(
  ctx: CommandContext,
  url: string,
  { events, description }: AddOptions,
): Promise<CommandResult> {
  const endpoint = await call(ctx, 'POST', '', {
    body: {
      url,
      ...(events === undefined ? {} : { events: events.split(',').map((event) => event.trim()) }),
      ...(description === undefined ? {} : { description }),
    },
  });
  return {
    json: endpoint,
    text: () => `Webhook ${endpoint.id} is told of ${ctx.environment}.\n${secretText(endpoint)}`,
  };
}

async function remove(ctx: CommandContext, id: string): Promise<CommandResult> {
  await call(ctx, 'DELETE', place(id));
  return { json: { id, removed: true }, text: () => `Webhook ${id} is gone.` };
}

async function disable(
  ctx: CommandContext,
  id: string,
  reason: string | undefined,
): Promise<CommandResult> {
  const endpoint = await call(ctx, 'POST', place(id, '/disable'), {
    body: reason === undefined ? {} : { reason },
  });
  return { json: endpoint, text: () => `Webhook ${id} is disabled: ${endpoint.reason}.` };
}

async function enable(ctx: CommandContext, id: string): Promise<CommandResult> {
  const endpoint = await call(ctx, 'POST', place(id, '/enable'), { body: {} });
  return { json: endpoint, text: () => `Webhook ${id} is enabled; what waited is sent.` };
}

async function rotate(ctx: CommandContext, id: string): Promise<CommandResult> {
  const endpoint = await call(ctx, 'POST', place(id, '/rotate'), { body: {} });
  return {
    json: endpoint,
    text: () =>
      `Webhook ${id} has a new secret; the old one counts for a day.\n${secretText(endpoint)}`,
  };
}

const secretText = (endpoint: JsonObject): string =>
  `Its secret, which is shown only now: ${endpoint.secret}`;

async function log(
  ctx: CommandContext,
  id: string,
  { status, after }: LogOptions,
): Promise<CommandResult> {
  const answer = await call(ctx, 'GET', place(id, '/deliveries'), { query: { status, after } });
  const items = objects(answer.items);
  const rows = items.map((item) => {
    const attempts = objects(item.attempts);
    const last = attempts.at(-1);
    return [
      String(item.id),
      timeText(String(item.created_at)),
      String(item.event),
      String(item.status),
      String(attempts.length),
      String(last?.error ?? last?.status ?? ''),
    ];
  });
  const next = isJsonObject(answer.page_info) ? answer.page_info.after : null;
  return {
    json: answer,
    text: (style) =>
      items.length === 0
        ? 'Nothing was sent to it.'
        : table(style, ['DELIVERY', 'AT', 'EVENT', 'STATUS', 'ATTEMPTS', 'LAST ANSWER'], rows) +
          (typeof next === 'string' ? `\nMore: --after ${next}` : ''),
  };
}

async function replay(
  ctx: CommandContext,
  id: string,
  { delivery, from, until, all }: ReplayOptions,
): Promise<CommandResult> {
  if ((delivery === undefined) === (from === undefined)) {
    throw new CliError(
      'usage',
      'Name one event with --delivery, or a time with --from and --until.',
    );
  }
  const body =
    delivery === undefined
      ? { from, ...(until === undefined ? {} : { until }), only_failed: !all }
      : { delivery_id: delivery };
  const answer = await call(ctx, 'POST', place(id, '/replay'), { body });
  return {
    json: answer,
    text: () =>
      delivery === undefined
        ? `What ${all ? 'happened' : 'failed'} from ${answer.from} until ${answer.until} is sent again, while nothing new is to be sent.`
        : `Delivery ${delivery} is sent again.`,
  };
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
