import type { TSchema } from 'typebox';
import { Errors } from 'typebox/value';
import { jsonPath } from './json-path.ts';
import type { Problem } from './step.ts';

/** Where a value breaks its schema; `path` is the value's own JSON path. */
export function schemaProblems(schema: TSchema, value: unknown, path: string): Problem[] {
  const reasons = new Map<string, string[]>();
  for (const error of Errors(schema, value)) {
    if (error.keyword === 'boolean' || error.keyword === 'anyOf') continue;
    const place = path + jsonPath(error.instancePath);
    const reason = wording(error);
    const known = reasons.get(place);
    if (!known) reasons.set(place, [reason]);
    else if (!known.includes(reason)) known.push(reason);
  }
  // Inside a value that may also be null, what matters is the defect inside.
  const places = [...reasons.keys()];
  return [...reasons]
    .filter(
      ([place, texts]) =>
        texts.join() !== 'must be null' ||
        !places.some((other) => other.length > place.length && other.startsWith(place)),
    )
    .map(([place, texts]) => ({
      path: place,
      reason: texts.join(' or ').replaceAll(' or must be', ' or'),
    }));
}

type SchemaError = ReturnType<typeof Errors>[number];

function wording(error: SchemaError): string {
  if (error.keyword === 'const') {
    return `must be ${JSON.stringify(error.params.allowedValue)}`;
  }
  if (error.keyword === 'enum') {
    return `must be one of ${error.params.allowedValues.map((value) => JSON.stringify(value)).join(', ')}`;
  }
  if (error.keyword === 'required') {
    return `lacks ${error.params.requiredProperties.map((name) => `"${name}"`).join(', ')}`;
  }
  if (error.keyword === 'additionalProperties') {
    return `has the unknown ${error.params.additionalProperties.map((name) => `"${name}"`).join(', ')}`;
  }
  return error.message;
}
