import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { templateUses } from '../templates/template-uses.ts';
import { parsePath } from '../workflows/paths.ts';
import type { CompileEnvironment, Problem } from '../workflows/step.ts';
import type { Resource } from './resources.ts';

/** Whether the account has a secret variable of this name. */
export type IsSecret = (key: string) => boolean;

/** Where a workflow, whose depth is bounded, reads a secret variable other than in a request. */
export function workflowSecretProblems(
  content: JsonObject,
  environment: CompileEnvironment,
  isSecret: IsSecret,
): Problem[] {
  const { trigger_data_json_schema: _, ...rest } = content;
  return problemsIn(rest, '$', environment, isSecret);
}

/** The same of what workflows share; partials of the type `json` may be parts of requests. */
export function resourceSecretProblems(
  { kind, content }: Resource,
  environment: CompileEnvironment,
  isSecret: IsSecret,
): Problem[] {
  if (kind === 'partial' && content.type === 'json') return [];
  return problemsIn(content, '$', environment, isSecret);
}

function problemsIn(
  value: Json,
  path: string,
  environment: CompileEnvironment,
  isSecret: IsSecret,
): Problem[] {
  if (typeof value === 'string') {
    return namesIn(value, environment)
      .filter(isSecret)
      .map((name) => ({
        path,
        reason: `reads the secret variable "${name}"; secrets can only be read by HTTP fetch steps, AI agent steps and webhooks`,
      }));
  }
  if (Array.isArray(value)) {
    return value.flatMap((item, i) => problemsIn(item, `${path}[${i}]`, environment, isSecret));
  }
  if (!isJsonObject(value)) return [];
  const request = requestField(value, environment);
  return Object.entries(value)
    .filter(([key]) => key !== request)
    .flatMap(([key, item]) => problemsIn(item, `${path}.${key}`, environment, isSecret));
}

/** The field of a step that holds what it requests. */
function requestField(step: JsonObject, environment: CompileEnvironment): string | undefined {
  if (step.type === 'http_fetch' || step.type === 'ai_agent') return 'settings';
  if (step.type !== 'channel') return undefined;
  const { channel_type: type, channel_key: key, channel_group_key: groupKey } = step;
  const found =
    typeof type === 'string'
      ? type
      : typeof key === 'string'
        ? environment.channel(key)?.type
        : typeof groupKey === 'string'
          ? environment.channelGroup(groupKey)?.type
          : undefined;
  return found === 'http' ? 'template' : undefined;
}

/** The variables that a template, or the path of a condition, reads. */
function namesIn(text: string, { templates }: CompileEnvironment): string[] {
  if (!text.includes('vars')) return [];
  const path = parsePath(text);
  const paths = path ? [path] : templateUses(text, templates).paths;
  return paths.flatMap(([root, name]) => (root === 'vars' && name !== undefined ? [name] : []));
}
