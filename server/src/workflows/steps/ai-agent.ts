import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import type { CallAnswer, CallTools, Problem, StepDefinition, StepOutcome } from '../step.ts';
import { StepError } from '../step-error.ts';
import { compiledConditions, isSet, stepFields } from './channel-step.ts';
import { MERGED_TOO_MUCH, mergedSize } from './merged-size.ts';
import { fieldTemplate, objectField, templateProblems } from './step-template.ts';

/** Models think. */
const TIMEOUT_MS = 60_000;
const MAX_BYTES = 256 * 1024;

/**
 * Asks a language model behind an OpenAI-compatible endpoint and puts what it says at `data.REF`: a text, or JSON of a
 * schema. Without an answer after three attempts the run goes on, or halts where `halt_on_error` says so.
 */
export const aiAgentStep: StepDefinition = {
  type: 'ai_agent',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('ai_agent'),
    settings: Type.Object({
      model: Type.String({ pattern: '^[^:]+:.+$' }),
      request_prompt: Type.String({ minLength: 1 }),
      response_type: Type.Enum(['text', 'json']),
      response_schema: nullable(Type.String()),
      web_search_enabled: nullable(Type.Boolean()),
      halt_on_error: nullable(Type.Boolean()),
    }),
  }),

  problems: (step, path, environment) => {
    const settings = objectField(step, 'settings');
    const at = `${path}.settings`;
    return [
      ...conditionProblems(step.conditions, `${path}.conditions`),
      ...templateProblems(settings, 'request_prompt', at, environment),
      ...schemaProblems(settings, at),
    ];
  },

  compile: (step, environment) => {
    const settings = objectField(step, 'settings');
    const ref = String(step.ref);
    const prompt = fieldTemplate(settings, 'request_prompt', environment);
    const isJson = settings.response_type === 'json';
    const schema = isJson ? parsed(String(settings.response_schema)) : undefined;
    const model = String(settings.model).replace(/^[^:]+:/, '');
    return {
      ref,
      type: 'ai_agent',
      ...compiledConditions(step),
      execute: () => ({ kind: 'call' }),

      request: ({ scope }) => ({
        model,
        messages: [{ role: 'user', content: prompt?.render(scope) ?? '' }],
        ...(schema === undefined
          ? {}
          : {
              response_format: {
                type: 'json_schema',
                json_schema: { name: 'answer', schema },
              },
            }),
        ...(settings.web_search_enabled === true ? { web_search_options: {} } : {}),
      }),

      call: async (body, tools) => {
        const text = await complete(body, tools);
        return { answer: isJson ? jsonOf(text) : text };
      },

      answer: ({ scope, merged: before }, answer): StepOutcome => {
        const { attempts, result, error }: Partial<CallAnswer> = answer;
        const after = `after ${attempts === 1 ? '1 attempt' : `${attempts} attempts`}`;
        const said = result?.answer ?? null;
        const merged = mergedSize(before, said);
        if (result && merged !== undefined) {
          const data = { ...scope.data, [ref]: said };
          return { kind: 'continue', reason: `answered ${after}`, data, merged };
        }
        const reason = result ? MERGED_TOO_MUCH : `${error} (${after})`;
        return settings.halt_on_error === true
          ? { kind: 'halt', failed: true, reason }
          : { kind: 'continue', reason };
      },
    };
  },
};

/** The text that the model says. */
async function complete(body: JsonObject, { request, model }: CallTools): Promise<string> {
  if (!model) {
    const reason = 'no model is configured; set BELFRY_AI_URL to an OpenAI-compatible endpoint';
    throw new StepError('call_refused', reason);
  }
  const authorization = model.apiKey === undefined ? undefined : `Bearer ${model.apiKey}`;
  const response = await request({
    content: {
      method: 'post',
      url: `${model.url.replace(/\/+$/, '')}/chat/completions`,
      headers: authorization ? [{ key: 'authorization', value: authorization }] : [],
      body: JSON.stringify(body),
    },
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
    isTrusted: true,
  });
  if ('failed' in response) {
    if (response.again) throw new Error(response.failed);
    throw new StepError('call_refused', response.failed);
  }
  const { status, body: text } = response;
  if (status !== 200) {
    const reason = `the model's endpoint answered ${status}`;
    if (status >= 500 || status === 408 || status === 429) throw new Error(reason);
    throw new StepError('call_refused', reason);
  }
  const said = contentOf(parsed(text));
  if (said === undefined) throw new Error('the answer of the model has no text');
  return said;
}

/** `choices[0].message.content` */
function contentOf(answer: Json | undefined): string | undefined {
  const choices = isJsonObject(answer) ? answer.choices : undefined;
  const [choice] = Array.isArray(choices) ? choices : [];
  const message = isJsonObject(choice) ? choice.message : undefined;
  const content = isJsonObject(message) ? message.content : undefined;
  return typeof content === 'string' ? content : undefined;
}

/** What the model says as JSON. It may say something else the next time. */
function jsonOf(text: string): Json {
  const json = parsed(text);
  if (json === undefined) throw new Error('the model did not answer with JSON');
  return json;
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function schemaProblems(settings: JsonObject, path: string): Problem[] {
  const at = `${path}.response_schema`;
  const { response_type: type, response_schema: schema } = settings;
  if (type !== 'json') {
    const reason = 'must not be set for the response_type "text"';
    return isSet(schema) ? [{ path: at, reason }] : [];
  }
  if (!isSet(schema))
    return [{ path: at, reason: 'is missing; the response_type "json" needs it' }];
  if (isJsonObject(parsed(String(schema)))) return [];
  return [{ path: at, reason: 'must be a JSON schema, written as JSON' }];
}
