import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Value } from 'typebox/value';
import { BelfryError, type FieldError } from '../lib/errors.ts';

type Failure = { readonly instancePath: string; readonly message: string; readonly params: object };

/** What Fastify throws when a schema does not fit: our failures and the part of the request. */
type ValidationFailure = {
  readonly validation: readonly Failure[];
  readonly validationContext: string;
};

const ERROR_LIMIT = 20;

/**
 * Checks one part of a request with TypeBox. Compiled on first use, so that start-up does not pay
 * for routes that nobody calls. Text of a query or path is converted (`"5"` to 5); bodies never are.
 */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  let compiled: Validator | undefined;
  return (value) => {
    compiled ??= Compile(schema);
    if (compiled.Check(value)) return { value };
    const converted = httpPart === 'body' ? value : Value.Convert(schema, value);
    if (compiled.Check(converted)) return { value: converted };
    return { error: compiled.Errors(converted).slice(0, ERROR_LIMIT) };
  };
};

/** The same, but a body is read by hand: its schema only documents. */
export const compileAllButBody: FastifySchemaCompiler<TSchema> = (route) =>
  route.httpPart === 'body' ? () => true : compileValidator(route);

export function isValidationFailure(thrown: unknown): thrown is ValidationFailure {
  return (
    typeof thrown === 'object' &&
    thrown !== null &&
    'validation' in thrown &&
    Array.isArray(thrown.validation) &&
    'validationContext' in thrown
  );
}

/** The 422 that names each wrong field. */
export function validationError(failure: ValidationFailure): BelfryError {
  const fields: FieldError[] = [];
  for (const { instancePath, message, params } of failure.validation) {
    const base = fieldName(instancePath);
    for (const name of requiredNames(params)) {
      fields.push({ field: base === '' ? name : `${base}.${name}`, message: 'is required' });
    }
    if (requiredNames(params).length === 0) {
      fields.push({ field: base || partName(failure.validationContext), message });
    }
  }
  const unique = fields.filter(
    ({ field, message }, index) =>
      fields.findIndex((other) => other.field === field && other.message === message) === index,
  );
  const first = unique[0];
  return new BelfryError(
    'invalid_params',
    first ? `${first.field} ${first.message}` : 'The request is not valid',
    { fields: unique },
  );
}

/** `/recipients/3/id` as `recipients[3].id`. */
function fieldName(instancePath: string): string {
  return instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(
      (path, part) =>
        /^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`,
      '',
    );
}

function requiredNames(params: object): readonly string[] {
  if ('requiredProperties' in params && Array.isArray(params.requiredProperties)) {
    return params.requiredProperties.filter((name) => typeof name === 'string');
  }
  return [];
}

function partName(context: string): string {
  return context === 'querystring' ? 'query' : context;
}
