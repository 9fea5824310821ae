import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import { parsePath } from '../paths.ts';
import type { CallAnswer, Problem, StepDefinition, StepOutcome } from '../step.ts';
import { StepError } from '../step-error.ts';
import { compiledConditions, isSet, stepFields } from './channel-step.ts';
import { MERGED_TOO_MUCH, mergedSize } from './merged-size.ts';
import { compileRequest, requestFields, requestProblems } from './request-template.ts';
import { fieldTemplate, objectField, templateProblems } from './step-template.ts';

const TIMEOUT_MS = 15_000;
/** It becomes part of the run's data. */
const MAX_BYTES = 256 * 1024;
const SUCCESSES: ReadonlySet<number> = new Set([200, 201, 204]);

/**
 * Asks an HTTP endpoint and merges the JSON that it answers into the run's data, or puts it at `response_path`. Without
 * a usable answer after three attempts the run halts.
 */
export const httpFetchStep: StepDefinition = {
  type: 'http_fetch',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('http_fetch'),
    settings: Type.Object({
      ...requestFields,
      response_path: nullable(Type.String()),
      signing_key: nullable(Type.String()),
    }),
  }),

  problems: (step, path, environment) => {
    const settings = objectField(step, 'settings');
    const at = `${path}.settings`;
    return [
      ...conditionProblems(step.conditions, `${path}.conditions`),
      ...requestProblems(settings, at, environment),
      ...templateProblems(settings, 'signing_key', at, environment),
      ...responsePathProblems(settings, at),
    ];
  },

  compile: (step, environment) => {
    const settings = objectField(step, 'settings');
    const contentFor = compileRequest(settings, environment);
    const signingKey = fieldTemplate(settings, 'signing_key', environment);
    const at = responsePath(settings) ?? [];
    return {
      ref: String(step.ref),
      type: 'http_fetch',
      ...compiledConditions(step),
      execute: () => ({ kind: 'call' }),

      request: ({ scope }) => ({
        content: contentFor(scope),
        signingKey: signingKey?.render(scope) ?? '',
      }),

      call: async ({ content, signingKey: key }, { request }) => {
        const response = await request({
          content: isJsonObject(content) ? content : {},
          timeoutMs: TIMEOUT_MS,
          maxBytes: MAX_BYTES,
          ...(typeof key === 'string' && key !== '' ? { signingKey: key } : {}),
        });
        if ('failed' in response) {
          if (response.again) throw new Error(response.failed);
          throw new StepError('call_refused', response.failed);
        }
        const { status, body } = response;
        if (SUCCESSES.has(status)) return { status, json: parsed(body, at.length === 0) };
        const reason = `answered ${status}`;
        if (status >= 500 || status === 408 || status === 429) throw new Error(reason);
        throw new StepError('call_refused', `${reason}, which trying again would not change`);
      },

      answer: ({ scope, merged: before }, answer): StepOutcome => {
        const { attempts, result, error }: Partial<CallAnswer> = answer;
        const after = `after ${attempts === 1 ? '1 attempt' : `${attempts} attempts`}`;
        if (!result) return { kind: 'halt', failed: true, reason: `${error} (${after})` };
        const json = result.json ?? null;
        const merged = mergedSize(before, json);
        if (merged === undefined) return { kind: 'halt', failed: true, reason: MERGED_TOO_MUCH };
        return {
          kind: 'continue',
          reason: `answered ${result.status} ${after}`,
          data: withAnswer(scope.data, at, json),
          merged,
        };
      },
    };
  },
};

function parsed(body: string, mustBeObject: boolean): Json {
  if (body.trim() === '') return {};
  let json: Json;
  try {
    json = JSON.parse(body);
  } catch {
    throw new StepError('invalid_json', 'the answer is no JSON');
  }
  if (mustBeObject && !isJsonObject(json)) {
    const reason = 'the answer is JSON, but no object; name a response_path to put it at';
    throw new StepError('invalid_json', reason);
  }
  return json;
}

/** `data` with the answer's keys over its own; or with the answer at a path. */
function withAnswer(data: JsonObject, path: readonly string[], json: Json): JsonObject {
  const [first, ...rest] = path;
  if (first === undefined) return isJsonObject(json) ? { ...data, ...json } : data;
  const inside = Object.hasOwn(data, first) ? data[first] : undefined;
  if (rest.length === 0) return { ...data, [first]: json };
  return { ...data, [first]: withAnswer(isJsonObject(inside) ? inside : {}, rest, json) };
}

/** Without a leading `data`. */
function responsePath({ response_path: source }: JsonObject): readonly string[] | undefined {
  if (!isSet(source)) return [];
  const path = parsePath(String(source));
  return path?.[0] === 'data' ? path.slice(1) : path;
}

function responsePathProblems(settings: JsonObject, path: string): Problem[] {
  const target = responsePath(settings);
  if (target && !target.includes('__proto__')) return [];
  const reason = 'must be a path in the run’s data, such as "data.order"';
  return [{ path: `${path}.response_path`, reason }];
}
