import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/lib/json.ts';
import { workflowProblems } from '../../src/workflows/workflow-problems.ts';
import { type HttpServer, readBody, serveHttp } from '../channels/support.ts';
import * as rows from '../support/engine-rows.ts';
import { createEngineWorld, type EngineWorld, feedStep } from '../support/engine-world.ts';
import { environment } from '../workflows/support.ts';

let world: EngineWorld;
let model: HttpServer;
let asked: { readonly path: string; readonly key: string; readonly body: JsonObject }[] = [];
let reply: (response: ServerResponse) => void;

beforeAll(async () => {
  model = await serveHttp(async (request, response) => {
    const body = JSON.parse(await readBody(request));
    asked.push({ path: request.url ?? '', key: request.headers.authorization ?? '', body });
    reply(response);
  });
  world = await createEngineWorld({ model: { url: `${model.url}/v1`, apiKey: 'k1' } });
});
afterEach(() => {
  asked = [];
});
afterAll(async () => {
  await model.close();
  await world.close();
});

const says = (content: string) => (response: ServerResponse) =>
  void response.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content } }] }));

const step = (settings: JsonObject = {}): JsonObject => ({
  ref: 'summary',
  type: 'ai_agent',
  settings: {
    model: 'acme:small-1',
    request_prompt: 'Summarise {{ data.text }}',
    response_type: 'text',
    ...settings,
  },
});
const schema = { type: 'object', properties: { text: { type: 'string' } } };
const json = { response_type: 'json', response_schema: JSON.stringify(schema) };

async function run(of: JsonObject, body = '{{ data.summary.text }}{{ data.summary }}') {
  const workflow = await world.workflow({ steps: [of, feedStep(body)] });
  const recipients = [{ recipient: 'ada' }];
  const { refs, runIds } = await world.accept({ ...workflow, recipients, data: { text: 'this' } });
  await world.executeAll(refs);
  const runId = runIds[0] ?? '';
  const [segment] = await rows.segmentsOf(world.test.db, runId);
  const messages = await rows.messagesOf(world.test.db, runId);
  return { texts: messages.map(({ content }) => content.body), segment };
}

describe('an AI step', () => {
  test('asks the model of its endpoint and keeps the text under its ref [ai_agent.model] [ai_agent.request_prompt] [ai_agent.response_type]', async () => {
    reply = says('Short.');
    const { texts, segment } = await run(step(), '{{ data.summary }}');
    expect(texts).toEqual(['Short.']);
    expect(asked).toEqual([
      {
        path: '/v1/chat/completions',
        key: 'Bearer k1',
        body: { model: 'small-1', messages: [{ role: 'user', content: 'Summarise this' }] },
      },
    ]);
    expect(segment?.steps[0]).toMatchObject({
      outcome: 'continued',
      reason: 'answered after 1 attempt',
    });
  });

  test('asks for JSON of a schema, and for a search of the web [ai_agent.response_schema] [ai_agent.web_search_enabled]', async () => {
    reply = says('{"text": "Short."}');
    const { texts } = await run(
      step({ ...json, web_search_enabled: true }),
      '{{ data.summary.text }}',
    );
    expect(texts).toEqual(['Short.']);
    expect(asked[0]?.body).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema } },
      web_search_options: {},
    });
  });

  test('that gets no JSON asks again, three times in all, and goes on', async () => {
    reply = says('I would rather not.');
    const { texts, segment } = await run(step(json), 'on{{ data.summary }}');
    expect(asked).toHaveLength(3);
    expect(texts).toEqual(['on']);
    expect(segment?.steps[0]).toMatchObject({
      outcome: 'continued',
      reason: 'the model did not answer with JSON (after 3 attempts)',
    });
  });

  test('halts the run as failed where it is told to [ai_agent.halt_on_error]', async () => {
    reply = (response) => void response.writeHead(401).end();
    const { texts, segment } = await run(step({ halt_on_error: true }));
    expect(asked).toHaveLength(1);
    expect(texts).toEqual([]);
    expect(segment).toMatchObject({
      error_count: 1,
      steps: [{ outcome: 'halted', reason: "the model's endpoint answered 401 (after 1 attempt)" }],
    });
  });

  test('says what to configure where no endpoint is', async () => {
    const { call } = (await import('../../src/workflows/steps/ai-agent.ts')).aiAgentStep.compile(
      step(),
      environment,
    );
    const request = async () => ({ status: 200, body: '' });
    await expect(call?.({}, { request })).rejects.toThrow('set BELFRY_AI_URL');
  });

  test.each<[string, JsonObject, string]>([
    ['a model without its provider', { model: 'small-1' }, 'model'],
    ['JSON without a schema', { response_type: 'json' }, 'response_schema'],
    ['a schema that is no JSON', { ...json, response_schema: '{' }, 'response_schema'],
    ['a schema for a text', { response_schema: '{}' }, 'response_schema'],
  ])('is refused with %s', (_, settings, field) => {
    const problems = workflowProblems({ name: 'W', steps: [step(settings)] }, environment);
    expect(problems.map(({ path }) => path)).toEqual([`$.steps[0].settings.${field}`]);
  });
});
