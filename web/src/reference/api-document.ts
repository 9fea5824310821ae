import { isRecord, type JsonRecord, text } from '../shared/json.ts';

/** Which kind of key opens an operation: a name of the document's `securitySchemes`. */
export type KeyKind = string;

export type Parameter = {
  /** `inserted_at.gte` for a field of an object. */
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly isRequired: boolean;
  readonly description: string;
  readonly schema: JsonRecord;
  readonly example: unknown;
};

export type Shown = {
  readonly status: string;
  readonly description: string;
  /** Undefined: no body. */
  readonly type: string | undefined;
  readonly schema: JsonRecord | undefined;
  readonly example: unknown;
};

export type ApiError = {
  readonly status: string;
  readonly code: string;
  readonly meaning: string;
};

export type Operation = {
  readonly id: string;
  readonly method: string;
  /** With parameters in braces. */
  readonly path: string;
  readonly groups: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly isDeprecated: boolean;
  /** Empty: for everybody. */
  readonly keys: readonly KeyKind[];
  readonly parameters: readonly Parameter[];
  readonly body: Shown | undefined;
  readonly answers: readonly Shown[];
  readonly errors: readonly ApiError[];
  /** How Knock's SDK for Node calls it. */
  readonly sdk: { readonly method: string; readonly takesParams: boolean } | undefined;
};

export type ApiDocument = {
  readonly description: string;
  readonly operations: readonly Operation[];
  readonly keys: readonly { readonly kind: KeyKind; readonly description: string }[];
  readonly errors: readonly ApiError[];
  readonly schemas: JsonRecord;
};

/** An OpenAPI document as this page shows it. */
export function readDocument(document: JsonRecord): ApiDocument {
  const components = record(document.components);
  const meanings = new Map(
    Object.entries(record(components.examples)).map(([code, example]) => [
      code,
      { meaning: text(record(example).summary), value: record(record(example).value) },
    ]),
  );
  const read = Object.entries(record(document.paths)).flatMap(([path, item]) =>
    Object.entries(record(item)).map(([method, operation]) =>
      readOperation(method, path, record(operation), meanings),
    ),
  );
  return {
    description: text(record(document.info).description),
    operations: read.sort((left, right) => lateness(left) - lateness(right)),
    keys: Object.entries(record(components.securitySchemes)).map(([kind, scheme]) => ({
      kind,
      description: text(record(scheme).description),
    })),
    errors: [...meanings].map(([code, { meaning, value }]) => ({
      code,
      meaning,
      status: String(value.status),
    })),
    schemas: record(components.schemas),
  };
}

type Meanings = ReadonlyMap<string, { readonly meaning: string; readonly value: JsonRecord }>;

function readOperation(
  method: string,
  path: string,
  operation: JsonRecord,
  meanings: Meanings,
): Operation {
  const responses = Object.entries(record(operation.responses));
  const sdk = record(operation['x-sdk']);
  return {
    id: text(operation.operationId),
    method: method.toUpperCase(),
    path,
    groups: list(operation.tags).map(text),
    summary: text(operation.summary),
    description: text(operation.description),
    isDeprecated: operation.deprecated === true,
    keys: list(operation.security).flatMap((each) => Object.keys(record(each))),
    parameters: list(operation.parameters).flatMap((each) => readParameter(record(each))),
    body: operation.requestBody ? readShown('', record(operation.requestBody)) : undefined,
    answers: responses
      .filter(([, answer]) => record(answer).$ref === undefined)
      .map(([status, answer]) => readShown(status, record(answer))),
    errors: responses.flatMap(([status, answer]) =>
      errorCodes(record(answer)).map((code) => ({
        status,
        code,
        meaning: meanings.get(code)?.meaning ?? '',
      })),
    ),
    sdk: sdk.method
      ? { method: text(sdk.method), takesParams: sdk.takesParams === true }
      : undefined,
  };
}

/** The answers with errors are components, named by their codes. */
function errorCodes({ $ref }: JsonRecord): readonly string[] {
  const [, name = ''] = text($ref).split('/responses/');
  return name === '' ? [] : name.split('.');
}

/** An object in the query is asked for field by field. */
function readParameter(parameter: JsonRecord): Parameter[] {
  const schema = record(parameter.schema);
  const place = parameter.in === 'path' || parameter.in === 'header' ? parameter.in : 'query';
  const name = text(parameter.name);
  const fields = Object.entries(record(schema.properties));
  const own = {
    name,
    in: place,
    isRequired: parameter.required === true,
    description: text(parameter.description) || text(schema.description),
    schema,
    example: parameter.example,
  } as const;
  if (place !== 'query' || fields.length === 0) return [own];
  return fields.map(([field, fieldSchema]) => ({
    ...own,
    name: `${name}.${field}`,
    isRequired: false,
    schema: record(fieldSchema),
    example: record(parameter.example)[field],
  }));
}

function readShown(status: string, answer: JsonRecord): Shown {
  const [entry] = Object.entries(record(answer.content));
  const media = record(entry?.[1]);
  return {
    status,
    description: text(answer.description),
    type: entry?.[0],
    schema: entry ? record(media.schema) : undefined,
    example: media.example,
  };
}

/** Operations by group, groups in the order of their first operation. */
export function groupsOf(
  operations: readonly Operation[],
): readonly (readonly [string, readonly Operation[]])[] {
  const groups = new Map<string, Operation[]>();
  for (const operation of operations) {
    // What is about subscriptions of objects is looked for there, not among 30 operations on objects.
    const name = operation.groups[1] ?? operation.groups[0] ?? 'Other';
    groups.set(name, [...(groups.get(name) ?? []), operation]);
  }
  return [...groups];
}

/** What fewer readers look for comes last. */
const lateGroups: readonly string[] = ['Control', 'Operator', 'Operation'];

function lateness({ groups }: Operation): number {
  return lateGroups.indexOf(groups[0] ?? '');
}

/**
 * The operations that have each word of the search in what is known of them, whatever its ending: first those that
 * have them in their line or path.
 */
export function found(operations: readonly Operation[], search: string): readonly Operation[] {
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .map((word) => word.replace(/(?<=\w{3})(?:ies|es|s|y|e)$/, ''));
  const has = (text: string) => words.every((word) => text.toLowerCase().includes(word));
  const near = operations.filter((each) => has(lineOf(each)));
  const far = operations.filter((each) => !near.includes(each) && has(everythingOf(each)));
  return [...near, ...far];
}

function lineOf({ method, path, summary, groups, sdk }: Operation): string {
  return [method, path, summary, ...groups, sdk?.method ?? ''].join(' ');
}

function everythingOf(operation: Operation): string {
  const codes = operation.errors.map(({ code, status }) => `${status} ${code}`);
  return [lineOf(operation), operation.description, ...codes].join(' ');
}

function record(value: unknown): JsonRecord {
  return isRecord(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
