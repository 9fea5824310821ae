import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { compileTemplate } from './compile-template.ts';
import type { TemplateEnvironment } from './template-environment.ts';
import type { TemplateScope } from './template-scope.ts';

/** JSON with templates in its texts. */
export type CompiledValues = {
  /** The value when it is the same for every scope. */
  readonly constant?: JsonObject;
  /** Throws what a template throws. */
  readonly render: (scope: TemplateScope) => JsonObject;
};

type Part = { readonly constant: Json } | { readonly render: (scope: TemplateScope) => Json };

const LIQUID = /\{\{|\{%/;

/**
 * Compiles the texts of a value once. Only plain templates (outputs, filters, `if` and `unless`) are let in: they cost
 * no more than their length, so they may be rendered while somebody waits for the answer.
 *
 * Throws a TemplateError or an Error for the first text that is refused; with `refuse` all of them are told there, each
 * with its JSON path, and nothing is thrown.
 */
export function compileValues(
  values: JsonObject,
  environment: TemplateEnvironment,
  refuse?: (path: string, reason: string) => void,
  path = '$',
): CompiledValues {
  const text = (source: string, at: string): Part => {
    if (!LIQUID.test(source)) return { constant: source };
    try {
      const template = compileTemplate(source, { escape: 'none', environment });
      if (!template.isPlain) throw new Error(NOT_PLAIN);
      return template.constant === undefined ? template : { constant: template.constant };
    } catch (error) {
      if (!refuse) throw error;
      refuse(at, error instanceof Error ? error.message : String(error));
      return { constant: source };
    }
  };
  const part = (value: Json, at: string): Part => {
    if (typeof value === 'string') return text(value, at);
    if (Array.isArray(value)) {
      const items = value.map((item, index) => part(item, `${at}[${index}]`));
      return allOf(items, (rendered) => rendered);
    }
    return isJsonObject(value) ? members(value, at) : { constant: value };
  };
  const members = (value: JsonObject, at: string): Part => {
    const entries = Object.entries(value).map(
      ([name, item]) => [name, part(item ?? null, `${at}.${name}`)] as const,
    );
    return allOf(
      entries.map(([, item]) => item),
      (rendered) =>
        Object.fromEntries(entries.map(([name], index) => [name, rendered[index] ?? null])),
    );
  };
  const whole = members(values, path);
  if ('constant' in whole) {
    const constant = whole.constant as JsonObject;
    return { constant, render: () => constant };
  }
  return { render: (scope) => whole.render(scope) as JsonObject };
}

const NOT_PLAIN =
  'has loops, assignments or partials; here only outputs, filters, "if" and "unless" are possible';

/** Several parts as one: constant when all of them are. */
function allOf(parts: readonly Part[], join: (rendered: readonly Json[]) => Json): Part {
  const constants = parts.flatMap((one) => ('constant' in one ? [one.constant] : []));
  if (constants.length === parts.length) return { constant: join(constants) };
  return {
    render: (scope) =>
      join(parts.map((one) => ('constant' in one ? one.constant : one.render(scope)))),
  };
}
