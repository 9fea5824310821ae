import KnockNode from '@knocklabs/node';
import type { SdkCalls } from '../../src/api/openapi.ts';
import { operations } from './operations.ts';

/** A method of the SDK and what it calls. */
export type SdkMethod = {
  /** `users.feeds.listItems` */
  readonly name: string;
  readonly method: string;
  /** With parameters in braces, named by the SDK. */
  readonly path: string;
  /** Whether an argument beside those of the path holds the query and the body. */
  readonly takesParams: boolean;
};

/** Every method of every resource of the client, as its program text says. */
export function sdkMethods(): SdkMethod[] {
  return methodsOf(new KnockNode({ apiKey: 'sk_none' }), []);
}

/** How the SDK calls each operation of the contract, for the document of the API. */
export function sdkCalls(): SdkCalls {
  const methods = new Map(sdkMethods().map((method) => [method.name, method]));
  return new Map(
    operations.flatMap(([verb, path, name]) => {
      const called = name === null ? undefined : methods.get(name);
      if (!called) return [];
      const call = { method: called.name, takesParams: called.takesParams };
      return [[`${verb} ${path}`, call] as const];
    }),
  );
}

function methodsOf(owner: object, path: readonly string[]): SdkMethod[] {
  const nested = Object.entries(owner).flatMap(([name, value]) =>
    isResource(value) ? methodsOf(value, [...path, name]) : [],
  );
  // The client itself has only the means of its resources.
  if (path.length === 0) return nested;
  const own = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(owner)))
    .filter(([name]) => name !== 'constructor')
    .map(([name, { value }]) => callOf([...path, name].join('.'), String(value)));
  return [...own, ...nested];
}

/** Resources know their client, which they call as `_client`. */
function isResource(value: unknown): value is object {
  return typeof value === 'object' && value !== null && '_client' in value;
}

/** From `return this._client.put(path`/v1/users/${userID}`, { body, ...options })`. */
function callOf(name: string, text: string): SdkMethod {
  const call = /_client\.(\w+)\((?:\(0, \w+\.path\)|path)?\s*[`'"](\/v1\/[^`'"]+)[`'"]/.exec(text);
  const [, verb, path] = call ?? [];
  if (verb === undefined || path === undefined) {
    throw new Error(`the SDK's ${name} cannot be read: ${text.slice(0, 200)}`);
  }
  return {
    name,
    method: verb === 'getAPIList' ? 'GET' : verb.toUpperCase(),
    path: path.replaceAll('${', '{'),
    takesParams: /^\w+\([^)]*\b(?:body|query|params)\b/.test(text),
  };
}
