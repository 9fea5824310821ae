import { locateProblem, readDirectory, type ThingFiles } from '../../control/read-directory.ts';
import { RESOURCE_KINDS, resourcePlace } from '../../control/resources.ts';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import { CliError, type CommandResult, type ErrorDetail } from '../result.ts';
import type { CommandContext } from '../run-command.ts';
import { table } from '../table.ts';

/** Of what stays in the environment, in one line. */
const MAX_NAMES = 20;

/** Publishes a directory, or (`check`) only says what is wrong with it. */
export async function push(
  ctx: CommandContext,
  dir: string,
  check: boolean,
): Promise<CommandResult> {
  const { workflows, resources, problems, warnings, isWhole } = await readDirectory(dir);
  for (const { file, reason } of warnings) ctx.say(`warning: ${file}: ${reason}`);
  if (problems.length > 0) throw refused(problems);
  const things = [...workflows, ...resources];
  const bodyOf = (of: readonly ThingFiles[]) => of.map(({ key, content }) => ({ key, content }));
  let answer: JsonObject;
  try {
    answer = await ctx.client.request({
      role: 'service',
      method: 'POST',
      path: '/control/v1/push',
      query: { environment: ctx.environment },
      body: {
        workflows: bodyOf(workflows),
        ...Object.fromEntries(
          RESOURCE_KINDS.map((kind) => [
            `${kind}s`,
            bodyOf(resources.filter((resource) => resource.kind === kind)),
          ]),
        ),
        check,
        whole: isWhole,
      },
    });
  } catch (error) {
    if (!(error instanceof CliError) || error.details.length === 0) throw error;
    throw refused(error.details.map((detail) => located(things, detail)));
  }
  const doubts = objects(answer.warnings).map(({ field, message }) =>
    located(things, { path: String(field), reason: String(message) }),
  );
  for (const { file, path, reason } of doubts) {
    ctx.say(`warning: ${[file, path].filter((part) => part).join(': ')}: ${reason}`);
  }
  for (const line of leftAlone(ctx, answer.unnamed)) ctx.say(line);
  const json = { ...answer, warnings: [...warnings, ...doubts] };
  if (check) {
    const found = `${things.length} ${things.length === 1 ? 'thing' : 'things'}`;
    return { json, text: () => `Checked ${found}: nothing is wrong. Nothing was published.` };
  }
  const rows = [
    ...objects(answer.published).map((version) => row(String(version.key), version)),
    ...RESOURCE_KINDS.flatMap((kind) =>
      objects(answer[`${kind}s`]).map((resource) =>
        row(resourcePlace({ kind, key: String(resource.key) }), resource),
      ),
    ),
  ];
  return {
    json,
    text: (style) => table(style, ['WHAT', 'VERSION', ctx.environment.toUpperCase()], rows),
  };
}

/** A push removes nothing; what somebody renamed or deleted would go on unseen. */
function leftAlone({ environment }: CommandContext, unnamed: unknown): string[] {
  const places = Array.isArray(unnamed) ? unnamed.map(String) : [];
  if (places.length === 0) return [];
  const names = places.slice(0, MAX_NAMES).join(', ');
  const more = places.length > MAX_NAMES ? `, and ${places.length - MAX_NAMES} more` : '';
  return [`warning: ${environment} has what the directory has not, and it stays: ${names}${more}`];
}

function row(name: string, { number, changed }: JsonObject): string[] {
  return [name, String(number ?? ''), changed === true ? 'published' : 'unchanged'];
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function refused(details: readonly ErrorDetail[]): CliError {
  const count = details.length === 1 ? 'one problem' : `${details.length} problems`;
  return new CliError('push_refused', `Nothing was published: ${count}.`, details);
}

/** The server names `<key>: <JSON path>`; a person wants the file, and the line where there is one. */
function located(things: readonly ThingFiles[], detail: ErrorDetail): ErrorDetail {
  const colon = detail.path.indexOf(': ');
  const place = colon < 0 ? detail.path : detail.path.slice(0, colon);
  const thing = things.find((one) => placeOf(one) === place);
  if (!thing) return detail;
  if (colon < 0) return { file: thing.file, path: '', reason: detail.reason };
  return locateProblem(thing, detail.path.slice(colon + 2), detail.reason);
}

/** What the server calls it. */
function placeOf({ kind, key }: ThingFiles): string {
  return kind === 'workflow' ? key : resourcePlace({ kind, key });
}
