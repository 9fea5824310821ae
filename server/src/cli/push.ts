import { Command } from 'commander';
import { locateProblem, readDirectory, type WorkflowFiles } from '../control/read-directory.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { CliError, type CommandResult, type ErrorDetail } from './result.ts';
import { type CommandContext, runCommand, withServerOptions } from './run-command.ts';
import { table } from './table.ts';

export function pushCommand(): Command {
  const command = new Command('push')
    .description('Publish the workflows of a directory, all or none.')
    .argument('<dir>', 'holds workflows/<key>/workflow.json; one workflow’s own directory will do');
  return withServerOptions(command).action((dir: string, options) =>
    runCommand(options, (ctx) => push(ctx, dir)),
  );
}

async function push(ctx: CommandContext, dir: string): Promise<CommandResult> {
  const { workflows, problems, warnings } = await readDirectory(dir);
  for (const { file, reason } of warnings) ctx.say(`warning: ${file}: ${reason}`);
  if (problems.length > 0) throw refused(problems);
  let answer: JsonObject;
  try {
    answer = await ctx.client.request({
      role: 'service',
      method: 'POST',
      path: '/control/v1/push',
      query: { environment: ctx.environment },
      body: { workflows: workflows.map(({ key, content }) => ({ key, content })) },
    });
  } catch (error) {
    if (!(error instanceof CliError) || error.details.length === 0) throw error;
    throw refused(error.details.map((detail) => located(workflows, detail)));
  }
  const published = Array.isArray(answer.published) ? answer.published.filter(isJsonObject) : [];
  const rows = published.map(({ key, number, changed }) => [
    String(key),
    String(number),
    changed === true ? 'published' : 'unchanged',
  ]);
  return {
    json: { ...answer, warnings },
    text: (style) => table(style, ['WORKFLOW', 'VERSION', ctx.environment.toUpperCase()], rows),
  };
}

function refused(details: readonly ErrorDetail[]): CliError {
  const count = details.length === 1 ? 'one problem' : `${details.length} problems`;
  return new CliError('push_refused', `Nothing was published: ${count}.`, details);
}

/** The server names `<key>: <JSON path>`; a person wants the file. */
function located(workflows: readonly WorkflowFiles[], detail: ErrorDetail): ErrorDetail {
  const colon = detail.path.indexOf(': ');
  const workflow = workflows.find(({ key }) => key === detail.path.slice(0, colon));
  if (!workflow || colon < 0) return detail;
  const place = locateProblem(workflow, detail.path.slice(colon + 2));
  const end = place.indexOf(': ');
  return { file: place.slice(0, end), path: place.slice(end + 2), reason: detail.reason };
}
