import { Command } from 'commander';
import { parseAddress, WORKFLOW_RUN_PART } from '../lib/address.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { referenceText } from './reference-text.ts';
import type { CommandResult } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import type { Style } from './style.ts';
import { type Cell, fields, table } from './table.ts';
import { timeText } from './time-text.ts';

type RunsOptions = {
  readonly workflow?: string;
  readonly status?: string;
  readonly recipient?: string;
  readonly tenant?: string;
  readonly errors?: boolean;
  readonly after?: string;
  readonly limit?: string;
};

const PATH = '/v1/workflow_recipient_runs';

export function runsCommand(): Command {
  const command = new Command('runs')
    .description('List what ran for whom, newest first; with an id, tell one run’s story.')
    .argument('[id]', 'recipient run, or workflow run (the answer of a trigger)')
    .option('--workflow <key>', 'only this workflow')
    .option('--status <status>', 'queued, processing, paused, completed or cancelled')
    .option('--recipient <id>', 'only this user')
    .option('--tenant <id>', 'only this tenant')
    .option('--errors', 'only runs with errors')
    .option('--after <cursor>', 'the next page')
    .option('--limit <count>', 'runs of the page, at most 50', '20');
  return withServerOptions(command).action((id: string | undefined, options) =>
    runCommand(options, (ctx) =>
      id !== undefined && parseAddress(id)?.part !== WORKFLOW_RUN_PART
        ? showRun(ctx, id)
        : listRuns(ctx, options, id),
    ),
  );
}

async function listRuns(
  ctx: CommandContext,
  options: RunsOptions,
  workflowRunId: string | undefined,
): Promise<CommandResult> {
  const answer = await ctx.client.request({
    role: 'secret',
    method: 'GET',
    path: PATH,
    query: {
      workflow_run_id: workflowRunId,
      workflow: options.workflow,
      'status[]': options.status,
      recipient: options.recipient,
      tenant: options.tenant,
      has_errors: options.errors ? 'true' : undefined,
      after: options.after,
      page_size: options.limit,
    },
  });
  const items = Array.isArray(answer.items) ? answer.items.filter(isJsonObject) : [];
  return { json: answer, text: (style) => listText(style, items, answer, workflowRunId) };
}

function listText(
  style: Style,
  items: readonly JsonObject[],
  answer: JsonObject,
  workflowRunId: string | undefined,
): string {
  if (items.length === 0) {
    return workflowRunId === undefined
      ? 'No runs. Start one with: belfry trigger WORKFLOW --recipient ID'
      : 'No recipient run of it yet: it is queued, or is no workflow run of this environment.';
  }
  const rows = items.map((run) => [
    String(run.id),
    String(run.workflow),
    referenceText(run.recipient),
    statusCell(style, run),
    timeText(String(run.inserted_at)),
  ]);
  const next = isJsonObject(answer.page_info) ? answer.page_info.after : null;
  const more = typeof next === 'string' ? `\n${style.dim(`more with --after ${next}`)}` : '';
  return table(style, ['RUN', 'WORKFLOW', 'RECIPIENT', 'STATUS', 'TRIGGERED'], rows) + more;
}

async function showRun(ctx: CommandContext, id: string): Promise<CommandResult> {
  const run = await ctx.client.request({
    role: 'secret',
    method: 'GET',
    path: `${PATH}/${encodeURIComponent(id)}`,
  });
  const events = Array.isArray(run.events) ? run.events.filter(isJsonObject) : [];
  return {
    json: run,
    text: (style) => {
      const head = fields(style, [
        ['run', String(run.id)],
        ['workflow run', String(run.workflow_run_id)],
        ['workflow', String(run.workflow)],
        ['recipient', referenceText(run.recipient)],
        ['actor', referenceText(run.actor)],
        ['tenant', typeof run.tenant === 'string' ? run.tenant : ''],
        ['status', statusCell(style, run)],
        ['triggered', timeText(String(run.inserted_at))],
        ['last change', timeText(String(run.updated_at))],
      ]);
      if (events.length === 0) return head;
      return `${head}\n\n${table(
        style,
        ['TIME', 'STEP', 'EVENT', 'DETAIL'],
        events.map((event) => eventRow(style, event)),
      )}`;
    },
  };
}

function eventRow(style: Style, event: JsonObject): Cell[] {
  const name = String(event.event);
  const { reason, message_id: messageId } = isJsonObject(event.data) ? event.data : {};
  const detail = [reason, messageId].filter((part) => typeof part === 'string').join(' ');
  return [
    timeText(String(event.inserted_at)),
    typeof event.step_ref === 'string' ? event.step_ref : '',
    event.status === 'error' ? { text: name, mark: style.red } : name,
    detail,
  ];
}

function statusCell(style: Style, run: JsonObject): Cell {
  const status = String(run.status);
  if (Number(run.error_count) > 0) {
    return { text: `${status}, ${run.error_count} failed`, mark: style.red };
  }
  return { text: status, mark: status === 'completed' ? style.green : style.yellow };
}
