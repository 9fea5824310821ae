import { type Static, Type } from 'typebox';
import type { EnvironmentContext } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { AnyObject } from './schemas.ts';

// JSON-RPC 2.0 (https://www.jsonrpc.org/specification) in the body of a POST.

const METHOD_NOT_FOUND = -32_601;
const INVALID_PARAMS = -32_602;

export type RpcParams = { readonly [key: string]: unknown };

/** A method: what it gets, and its result. */
export type RpcMethod = (ctx: EnvironmentContext, params: RpcParams) => object | Promise<object>;

export const RpcRequest = Type.Object({
  id: Type.String({ description: 'Comes back in the answer.' }),
  jsonrpc: Type.String({ description: 'The version of JSON-RPC, `2.0`.' }),
  method: Type.String(),
  params: Type.Optional(AnyObject),
});

export const RpcAnswer = Type.Object({
  jsonrpc: Type.Literal('2.0'),
  id: Type.String(),
  result: Type.Optional(AnyObject),
  error: Type.Optional(Type.Object({ code: Type.Integer(), message: Type.String() })),
});

/**
 * Calls the method. What is wrong with the call is an `error` in the answer; what trying again can mend is thrown, so
 * that the answer has a status that says so.
 */
export async function callRpc(
  methods: ReadonlyMap<string, RpcMethod>,
  ctx: EnvironmentContext,
  { id, method, params = {} }: Static<typeof RpcRequest>,
): Promise<Static<typeof RpcAnswer>> {
  const called = methods.get(method);
  if (!called) {
    const known = [...methods.keys()].join(', ');
    const message = `There is no method ${JSON.stringify(method.slice(0, 100))}; there are ${known}`;
    return { jsonrpc: '2.0', id, error: { code: METHOD_NOT_FOUND, message } };
  }
  try {
    return { jsonrpc: '2.0', id, result: { ...(await called(ctx, params)) } };
  } catch (error) {
    if (!(error instanceof BelfryError) || error.status >= 500 || error.status === 429) throw error;
    return { jsonrpc: '2.0', id, error: { code: INVALID_PARAMS, message: error.message } };
  }
}

/** The value as an object, or an error that names it. */
export function objectParam(value: unknown, field: string): RpcParams {
  if (isJsonObject(value)) return value;
  throw invalidField(field, 'must be an object');
}

/** The value as a list of at most `limit` things, or an error that names it. */
export function listParam(value: unknown, field: string, limit: number): readonly unknown[] {
  if (!Array.isArray(value)) throw invalidField(field, 'must be a list');
  if (value.length <= limit) return value;
  throw invalidField(field, `must have at most ${limit} entries, not ${value.length}`);
}
