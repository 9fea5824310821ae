import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import type { CompileEnvironment, RunScope } from '../step.ts';
import { StepError } from '../step-error.ts';
import { fieldTemplate } from './step-template.ts';

/**
 * A field whose template renders as a JSON object; undefined when the field or what it renders as is empty. Throws a
 * StepError for a recipient for whom it renders as anything else.
 */
export function jsonTemplate(
  holder: JsonObject,
  field: string,
  environment: Pick<CompileEnvironment, 'templates'>,
): (scope: RunScope) => JsonObject | undefined {
  const template = fieldTemplate(holder, field, environment);
  if (!template) return () => undefined;
  const parsed = template.constant === undefined ? undefined : parse(template.constant, field);
  if (parsed && 'value' in parsed) return () => parsed.value;
  return (scope) => {
    const result = parse(template.render(scope), field);
    if ('value' in result) return result.value;
    throw new StepError('invalid_request_template', result.reason);
  };
}

function parse(
  text: string,
  field: string,
): { readonly value: JsonObject | undefined } | { readonly reason: string } {
  if (text.trim() === '') return { value: undefined };
  try {
    const value: Json = JSON.parse(text);
    if (isJsonObject(value)) return { value };
  } catch {
    return { reason: `the template "${field}" renders as no JSON` };
  }
  return { reason: `the template "${field}" renders as JSON, but as no object` };
}
