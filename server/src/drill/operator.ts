import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { Actor } from './cast.ts';
import type { ScratchServer } from './scratch-server.ts';

const TIMEOUT_MS = 30_000;

export type Answer = { readonly status: number; readonly body: JsonObject; readonly text: string };

/** What a person with the operator token sees and does, over `/ops/v1`. */
export type Operator = {
  readonly get: (path: string) => Promise<Answer>;
  /** The same with another key than the operator's. */
  readonly call: (key: string, method: string, path: string, body?: JsonObject) => Promise<Answer>;
  readonly post: (path: string, body: JsonObject) => Promise<Answer>;
  /** The lines of an answer, as they come. */
  readonly lines: (path: string) => AsyncIterable<string>;
  /** The one line that names the culprit with key and workflow, once there is one. */
  readonly named: (culprit: Actor) => Promise<string | undefined>;
  /** The traffic in one line. */
  readonly traffic: () => Promise<string>;
};

export function createOperator(server: ScratchServer): Operator {
  const call: Operator['call'] = async (key, method, path, body) => {
    const response = await fetch(`${server.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    return { status: response.status, body: parsed(text), text };
  };
  const get = (path: string) => call(server.operatorToken, 'GET', path);
  return {
    get,
    call,
    post: (path, body) => call(server.operatorToken, 'POST', path, body),
    lines: (path) => readLines(`${server.url}${path}`, server.operatorToken),
    named: async (culprit) => {
      const { body } = await get('/ops/v1/top');
      return listOf(body.surges)
        .map(String)
        .find(
          (line) =>
            line.includes(`account ${culprit.account} `) &&
            line.includes(`key ...${culprit.keyHint}`) &&
            line.includes(`workflow ${culprit.workflowKey}:`),
        );
    },
    traffic: async () => {
      const { body } = await get('/ops/v1/top');
      const total = isJsonObject(body.total) ? body.total : {};
      return `belfry top: ${Math.round(Number(total.runs_per_s))} runs/s in ${Math.round(Number(total.triggers_per_s))} triggers/s, ${Math.round(Number(total.refused_per_s))} refused/s`;
    },
  };
}

async function* readLines(url: string, token: string): AsyncGenerator<string> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}`);
  for await (const line of createInterface(Readable.fromWeb(response.body))) {
    if (line !== '') yield line;
  }
}

/** Throws for any status but 2xx. */
export function accepted(answer: Answer): JsonObject {
  if (answer.status >= 200 && answer.status < 300) return answer.body;
  throw new Error(`the operator was answered ${answer.status}: ${answer.text.slice(0, 500)}`);
}

export function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

function parsed(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}
