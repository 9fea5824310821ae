import { setTimeout as rest } from 'node:timers/promises';
import { Command } from 'commander';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { numberOption } from './number-option.ts';
import { referenceText } from './reference-text.ts';
import { CliError, type CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import { type TriggerOptions, trigger, triggerBody, withTriggerOptions } from './trigger.ts';

const LOOK_MS = 200;
/** Without news for so long a run waits for its time, or a provider for its next attempt. */
const QUIET_MS = 3_000;
const MAX_FOLLOWED = 10;
const MAX_LINES = 20;
const RUNS = '/v1/workflow_recipient_runs';

type RunOptions = TriggerOptions & {
  readonly for: number;
  readonly follow?: boolean;
  readonly preview?: string;
};

/** A run with its events, and what its messages say. */
type Story = { readonly run: JsonObject; readonly messages: readonly JsonObject[] };

export function runWorkflowCommand(): Command {
  const command = new Command('run').description(
    'Run a workflow and watch: each step as it happens, and what was rendered.',
  );
  return withServerOptions(withTriggerOptions(command))
    .addOption(numberOption('--for <seconds>', 'how long to watch').default(60))
    .option('--preview <step>', 'only render this step: nothing is sent, recorded or changed')
    .option('--follow', 'go on watching when nothing happens for three seconds')
    .action((workflow: string, options) =>
      runCommand(options, (ctx) =>
        options.preview === undefined
          ? runAndWatch(ctx, workflow, options)
          : preview(ctx, workflow, options.preview, options),
      ),
    );
}

/** What a step says to the first recipient. */
async function preview(
  ctx: CommandContext,
  workflow: string,
  step: string,
  options: RunOptions,
): Promise<CommandResult> {
  const { recipients, ...rest } = triggerBody(options);
  const [recipient, ...others] = recipients;
  if (others.length > 0) throw new CliError('usage', '--preview renders for one recipient');
  const answer = await ctx.client.request({
    role: 'service',
    method: 'POST',
    path: `/v1/workflows/${encodeURIComponent(workflow)}/steps/${encodeURIComponent(step)}/preview_template`,
    query: { environment: ctx.environment },
    body: { ...rest, recipient },
  });
  const isRendered = answer.result === 'success';
  const template = isJsonObject(answer.template) ? answer.template : {};
  return {
    json: answer,
    text: () => (isRendered ? contentLines(template).join('\n') : JSON.stringify(answer.errors)),
    ...(isRendered ? {} : { failed: true }),
  };
}

async function runAndWatch(
  ctx: CommandContext,
  workflow: string,
  options: RunOptions,
): Promise<CommandResult> {
  if (options.recipient.length > MAX_FOLLOWED) {
    const many = `${options.recipient.length} recipients are more than the ${MAX_FOLLOWED} that can be watched`;
    throw new CliError('usage', `${many}; use belfry trigger, then belfry runs`);
  }
  const startedMs = Date.now();
  const { workflow_run_id: id } = await trigger(ctx, workflow, options);
  const told = new Set<string>();
  const stories = new Map<string, Story>();
  const tell = (line: string): void => {
    if (!ctx.json) process.stdout.write(`${line}\n`);
  };
  tell(`workflow run ${String(id)}`);
  const untilMs = startedMs + options.for * 1_000;
  let newsMs = startedMs;
  for (;;) {
    const runs = await readRuns(ctx, String(id));
    const before = told.size;
    for (const run of runs) {
      const messages = await tellNews(ctx, run, told, startedMs, tell);
      const known = stories.get(String(run.id))?.messages ?? [];
      stories.set(String(run.id), { run, messages: [...known, ...messages] });
    }
    if (told.size > before) newsMs = Date.now();
    if (runs.length >= options.recipient.length && runs.every(isOver)) break;
    const isQuiet = stories.size > 0 && Date.now() - newsMs > QUIET_MS;
    if (Date.now() >= untilMs || (isQuiet && !options.follow)) break;
    await rest(LOOK_MS);
  }
  return {
    json: {
      workflow_run_id: String(id),
      runs: [...stories.values()].map(({ run, messages }) => ({ ...run, messages })),
    },
    text: () => summary(String(id), [...stories.values()], options.recipient.length),
  };
}

async function readRuns(ctx: CommandContext, workflowRunId: string): Promise<JsonObject[]> {
  const answer = await ctx.client.request({
    role: 'secret',
    method: 'GET',
    path: RUNS,
    query: { workflow_run_id: workflowRunId, page_size: String(MAX_FOLLOWED) },
  });
  const items = Array.isArray(answer.items) ? answer.items.filter(isJsonObject) : [];
  return Promise.all(
    items.map((run) =>
      ctx.client.request({
        role: 'secret',
        method: 'GET',
        path: `${RUNS}/${encodeURIComponent(String(run.id))}`,
      }),
    ),
  );
}

function eventsOf(run: JsonObject): JsonObject[] {
  return Array.isArray(run.events) ? run.events.filter(isJsonObject) : [];
}

/** Whether all of a run has happened: its steps, and a delivery of each message that has a provider. */
function isOver(run: JsonObject): boolean {
  if (run.status !== 'completed' && run.status !== 'cancelled') return false;
  const data = eventsOf(run).map((event) => (isJsonObject(event.data) ? event.data : {}));
  const delivered = new Set(data.flatMap((item) => (item.provider ? [item.message_id] : [])));
  return data.every(
    (item) =>
      item.channel_type === 'in_app_feed' || !item.message_id || delivered.has(item.message_id),
  );
}

/** Tells the events that were not told before; returns the contents of the messages among them. */
async function tellNews(
  ctx: CommandContext,
  run: JsonObject,
  told: Set<string>,
  startedMs: number,
  tell: (line: string) => void,
): Promise<JsonObject[]> {
  const contents: JsonObject[] = [];
  for (const event of eventsOf(run)) {
    const id = String(event.id);
    if (told.has(id)) continue;
    told.add(id);
    const data = isJsonObject(event.data) ? event.data : {};
    const after = (Date.parse(String(event.inserted_at)) - startedMs) / 1_000;
    const what = String(event.event).replaceAll('_', ' ');
    const reason = typeof data.reason === 'string' ? `: ${data.reason}` : '';
    tell(
      `${seconds(after)}  ${referenceText(run.recipient)}  ${String(event.step_ref ?? '')}  ${what}${reason}`,
    );
    if (event.event !== 'message_enqueued' || typeof data.message_id !== 'string') continue;
    const content = await ctx.client.request({
      role: 'secret',
      method: 'GET',
      path: `/v1/messages/${encodeURIComponent(data.message_id)}/content`,
    });
    contents.push(content);
    for (const line of contentLines(content)) tell(`            ${line}`);
  }
  return contents;
}

function seconds(after: number): string {
  return `+${Math.max(0, after).toFixed(2)} s`.padStart(10);
}

/** The readable part of a message: its texts, HTML left out. */
export function contentLines(content: JsonObject): string[] {
  const data = isJsonObject(content.data) ? content.data : content;
  const blocks = Array.isArray(data.blocks) ? data.blocks.filter(isJsonObject) : [];
  const lines = [
    ...Object.entries(data)
      .filter(
        ([name, value]) => typeof value === 'string' && !/^(html_body|__typename)$/.test(name),
      )
      .flatMap(([name, value]) => `${name}: ${String(value)}`.split('\n')),
    ...blocks.flatMap((block) =>
      `${String(block.name)}: ${withoutTags(String(block.rendered ?? ''))}`.split('\n'),
    ),
  ];
  return lines.length > MAX_LINES
    ? [...lines.slice(0, MAX_LINES), `... ${lines.length - MAX_LINES} more lines`]
    : lines;
}

function withoutTags(html: string): string {
  return html.replace(/<[^>]*>/g, '').trim();
}

function summary(id: string, stories: readonly Story[], expected: number): string {
  if (stories.length < expected) {
    return `${stories.length} of ${expected} runs were seen; look again with: belfry runs ${id}`;
  }
  const counts = new Map<string, number>();
  for (const { run } of stories) {
    const status = String(run.status);
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  const text = [...counts].map(([status, count]) => `${count} ${status}`).join(', ');
  const waits = counts.has('paused') ? `; what waits: belfry runs ${id}` : '';
  return `${stories.length === 1 ? '1 run' : `${stories.length} runs`}: ${text}${waits}`;
}
