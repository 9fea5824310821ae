import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Check } from 'typebox/schema';
import type { Json, JsonObject } from '../../src/lib/json.ts';

/** An operation of `server/openapi.json`. */
export type DocumentedOperation = {
  /** `GET /v1/users/{user_id}` */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly summary?: string;
  readonly description?: string;
  readonly deprecated?: boolean;
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly JsonObject[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: 'path' | 'query' | 'header';
    readonly required?: boolean;
    readonly schema: JsonObject;
    readonly example?: Json;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: { readonly [status: string]: Answer };
};

type Content = {
  readonly [type: string]: { readonly schema: JsonObject; readonly example?: Json };
};

type Answer = {
  readonly $ref?: string;
  readonly description?: string;
  readonly content?: Content;
};

type Document = {
  readonly paths: {
    readonly [path: string]: { readonly [method: string]: Omit<DocumentedOperation, 'name'> };
  };
  readonly components: {
    readonly schemas: JsonObject;
    readonly responses: { readonly [name: string]: { readonly description: string } };
    readonly examples: { readonly [code: string]: { readonly value: JsonObject } };
  };
};

const FILE = join(import.meta.dirname, '..', '..', 'openapi.json');

export const openApi: Document = JSON.parse(readFileSync(FILE, 'utf8'));

export const documentedOperations: readonly DocumentedOperation[] = Object.entries(
  openApi.paths,
).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    ...operation,
    name: `${method.toUpperCase()} ${path}`,
    method: method.toUpperCase(),
    path,
  })),
);

/** The operation of this name: `GET /v1/users/{user_id}`. */
export function documentedOperation(name: string): DocumentedOperation {
  const found = documentedOperations.find((operation) => operation.name === name);
  if (!found) throw new Error(`server/openapi.json has no ${name}`);
  return found;
}

/** The codes of the errors that an operation says it can answer with, by status. */
export function errorsOf({ responses }: DocumentedOperation): ReadonlyMap<string, string[]> {
  return new Map(
    Object.entries(responses).flatMap(([status, { $ref }]) => {
      const name = $ref?.replace('#/components/responses/', '');
      return name === undefined ? [] : [[status, name.split('.')] as const];
    }),
  );
}

/** Whether a value fits a schema of the document. */
export function fits(schema: JsonObject, value: unknown): boolean {
  return Check({ ...schema, components: openApi.components }, value);
}
