import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { compileTemplate } from '../../templates/compile-template.ts';
import { nullable } from '../nullable.ts';
import type { CompileEnvironment, Problem, RunScope } from '../step.ts';
import { StepError } from '../step-error.ts';
import { fieldTemplate, oneLine, templateProblems } from './step-template.ts';

/** A list of pairs, or a template that renders as a JSON object or list of pairs. */
const Pairs = Type.Union([
  Type.Array(Type.Object({ key: Type.String(), value: Type.String() }), { maxItems: 100 }),
  Type.String(),
]);

/** An HTTP request, its parts templates. */
export const requestFields = {
  method: Type.Enum(['get', 'post', 'put', 'delete', 'patch']),
  url: Type.String({ minLength: 1 }),
  headers: nullable(Pairs),
  query_params: nullable(Pairs),
  body: nullable(Type.String()),
};

type Pair = { readonly key: string; readonly value: string };

/** What is wrong with the templates of a request. */
export function requestProblems(
  template: JsonObject,
  path: string,
  environment: CompileEnvironment,
): Problem[] {
  return [
    ...templateProblems(template, 'url', path, environment),
    ...templateProblems(template, 'body', path, environment),
    ...pairProblems(template, 'headers', path, environment),
    ...pairProblems(template, 'query_params', path, environment),
  ];
}

/** `method`, `url`, `headers` and `query_params` as lists of pairs, `body`. */
export function compileRequest(
  template: JsonObject,
  environment: CompileEnvironment,
): (scope: RunScope) => JsonObject {
  const method = String(template.method);
  const url = compileTemplate(String(template.url), {
    escape: 'none',
    environment: environment.templates,
  });
  const headers = compilePairs(template, 'headers', environment);
  const queryParams = compilePairs(template, 'query_params', environment);
  const body = fieldTemplate(template, 'body', environment);
  return (scope) => {
    const content: { [key: string]: Json } = {
      method,
      url: oneLine(url.render(scope)),
      headers: headers(scope),
      query_params: queryParams(scope),
    };
    if (body) content.body = body.render(scope);
    return content;
  };
}

function pairProblems(
  template: JsonObject,
  field: string,
  path: string,
  environment: CompileEnvironment,
): Problem[] {
  const pairs = template[field];
  if (!Array.isArray(pairs)) return templateProblems(template, field, path, environment);
  return pairs
    .filter(isJsonObject)
    .flatMap((pair: JsonObject, index) => [
      ...templateProblems(pair, 'key', `${path}.${field}[${index}]`, environment),
      ...templateProblems(pair, 'value', `${path}.${field}[${index}]`, environment),
    ]);
}

function compilePairs(
  template: JsonObject,
  field: string,
  environment: CompileEnvironment,
): (scope: RunScope) => Pair[] {
  const source = template[field];
  if (Array.isArray(source)) {
    const pairs = source.filter(isJsonObject).map((pair: JsonObject) => ({
      key: compileTemplate(String(pair.key), {
        escape: 'none',
        environment: environment.templates,
      }),
      value: compileTemplate(String(pair.value), {
        escape: 'none',
        environment: environment.templates,
      }),
    }));
    return (scope) =>
      pairs.map(({ key, value }) => ({
        key: oneLine(key.render(scope)),
        value: oneLine(value.render(scope)),
      }));
  }
  const text = fieldTemplate(template, field, environment);
  return text ? (scope) => parsePairs(text.render(scope), field) : () => [];
}

function parsePairs(text: string, field: string): Pair[] {
  if (text.trim() === '') return [];
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch {
    throw new StepError('invalid_request_template', `the template "${field}" renders as no JSON`);
  }
  if (Array.isArray(value)) {
    return value.filter(isJsonObject).map((pair: JsonObject) => toPair(pair.key, pair.value));
  }
  if (!isJsonObject(value)) {
    throw new StepError(
      'invalid_request_template',
      `the template "${field}" renders as neither a JSON object nor a list of pairs`,
    );
  }
  return Object.entries(value).map(([key, entry]) => toPair(key, entry));
}

function toPair(key: Json | undefined, value: Json | undefined): Pair {
  return { key: oneLine(toText(key)), value: oneLine(toText(value)) };
}

function toText(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
