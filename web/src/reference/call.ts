import { isRecord } from '../shared/json.ts';
import type { Operation, Parameter } from './api-document.ts';

/** What was filled in; an empty text is left out. */
export type Filled = {
  readonly values: { readonly [parameter: string]: string };
  /** JSON. */
  readonly body: string;
};

export type Call = {
  readonly method: string;
  /** With the query, without the origin. */
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: string | undefined;
};

/** What can be sent as it is: required parameters and the body from the examples. */
export function filledFromExample({ parameters, body }: Operation): Filled {
  const required = parameters.filter(({ isRequired }) => isRequired);
  return {
    values: Object.fromEntries(required.map((each) => [each.name, exampleText(each)])),
    body: body === undefined ? '' : JSON.stringify(body.example, null, 2),
  };
}

/** An example as one types it: a list with commas. */
export function exampleText({ example }: Parameter): string {
  if (Array.isArray(example) && example.every((item) => typeof item !== 'object')) {
    return example.join(', ');
  }
  return typeof example === 'object' ? JSON.stringify(example) : String(example ?? '');
}

/** The request of what was filled in, without a key. */
export function callOf(operation: Operation, { values, body }: Filled): Call {
  const { method, parameters } = operation;
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(values[name] ?? ''),
  );
  const query = filledIn(operation, values, 'query').flatMap(([name, value]) =>
    pairs(name.replace(/\.(\w+)$/, '[$1]'), value),
  );
  const headers = parameters
    .filter((each) => each.in === 'header' && (values[each.name] ?? '') !== '')
    .map((each) => [each.name, values[each.name] ?? '']);
  const hasBody = operation.body !== undefined && body.trim() !== '';
  return {
    method,
    path: query.length === 0 ? path : `${path}?${query.join('&')}`,
    headers: {
      ...(hasBody && { 'content-type': 'application/json' }),
      ...Object.fromEntries(headers),
    },
    body: hasBody ? body : undefined,
  };
}

/** The same call for a shell. */
export function curlOf(call: Call, origin: string, isKeyed: boolean): string {
  const { method, path, headers, body } = call;
  return [
    `curl ${method === 'GET' ? '' : `-X ${method} `}${quoted(`${origin}${path}`)}`,
    ...(isKeyed ? ['-H "Authorization: Bearer $BELFRY_KEY"'] : []),
    ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(body === undefined ? [] : [`-d ${quoted(compact(body))}`]),
  ].join(' \\\n  ');
}

/** The same call with Knock's SDK for Node: by its method, or by path where it has none. */
export function sdkOf(operation: Operation, filled: Filled, origin: string): string {
  return `import Knock from "@knocklabs/node";

const knock = new Knock({
  baseURL: ${JSON.stringify(origin)},
  apiKey: process.env.BELFRY_KEY,
});
const answer = await ${sdkExpression(operation, filled)};`;
}

/** `knock.users.get("mara")` */
export function sdkExpression(operation: Operation, filled: Filled): string {
  const { method, parameters, sdk } = operation;
  const { values } = filled;
  const query = nested(filledIn(operation, values, 'query'));
  const headers = Object.fromEntries(
    parameters
      .filter((each) => each.in === 'header' && (values[each.name] ?? '') !== '')
      .map(({ name }) => [name, values[name]]),
  );
  const body = operation.body && filled.body.trim() !== '' ? parsed(filled.body) : undefined;
  const takesParams = sdk?.takesParams === true;
  const options = {
    ...(!takesParams && Object.keys(query).length > 0 && { query }),
    ...(!sdk && body !== undefined && { body }),
    ...(Object.keys(headers).length > 0 && { headers }),
  };
  const hasOptions = Object.keys(options).length > 0;
  const params = isRecord(body) || body === undefined ? { ...query, ...body } : body;
  const hasParams = body !== undefined || Object.keys(query).length > 0;
  const ids = sdk
    ? [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => values[name] ?? '')
    : [callOf({ ...operation, parameters: [], body: undefined }, filled).path];
  const given = [
    ...ids.map((value) => JSON.stringify(value)),
    ...(takesParams && (hasParams || hasOptions) ? [source(params)] : []),
    ...(hasOptions ? [source(options)] : []),
  ];
  return `knock.${sdk?.method ?? method.toLowerCase()}(${given.join(', ')})`;
}

function filledIn(
  { parameters }: Operation,
  values: Filled['values'],
  place: Parameter['in'],
): (readonly [string, unknown])[] {
  return parameters
    .filter((each) => each.in === place && (values[each.name] ?? '') !== '')
    .map((each) => [each.name, typed(each, values[each.name] ?? '')]);
}

/** A text as the parameter's type; what does not fit stays text, for the server to refuse. */
function typed({ schema }: Parameter, value: string): unknown {
  switch (schema.type) {
    case 'integer':
    case 'number':
      return Number.isNaN(Number(value)) ? value : Number(value);
    case 'boolean':
      return value === 'true' ? true : value === 'false' ? false : value;
    case 'array': {
      const list = parsed(value);
      return Array.isArray(list) ? list : value.split(',').map((item) => item.trim());
    }
    default:
      return value;
  }
}

function pairs(name: string, value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pairs(`${name}[]`, item));
  if (isRecord(value)) {
    return Object.entries(value).flatMap(([key, item]) => pairs(`${name}[${key}]`, item));
  }
  return [`${name}=${encodeURIComponent(String(value))}`];
}

/** `inserted_at.gte` as a field of an object. */
function nested(pairs: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const query: Record<string, unknown> = {};
  for (const [name, value] of pairs) {
    const [owner = '', field] = name.split('.');
    const known = query[owner];
    query[owner] =
      field === undefined ? value : { ...(isRecord(known) ? known : {}), [field]: value };
  }
  return query;
}

/** As JavaScript: names without quotes where they need none. */
function source(value: unknown): string {
  const json = JSON.stringify(value, null, 2);
  return json.replaceAll(/^(\s*)"([A-Za-z_$][\w$]*)":/gm, '$1$2:');
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}

function compact(json: string): string {
  const value = parsed(json);
  return typeof value === 'string' && value === json ? json : JSON.stringify(value);
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
