import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { type CompiledTemplate, compileTemplate } from '../../templates/compile-template.ts';
import type { CompileEnvironment, Problem } from '../step.ts';

export type Escaping = 'none' | 'html' | 'markdown';

/** The syntax problems of a field's template; a field that is absent or null has none. */
export function templateProblems(
  holder: JsonObject,
  field: string,
  path: string,
  { templates }: Pick<CompileEnvironment, 'templates'>,
  escaping: Escaping = 'none',
): Problem[] {
  const source = holder[field];
  if (typeof source !== 'string') return [];
  try {
    compileTemplate(source, { escape: escaping, environment: templates });
    return [];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: `${path}.${field}`, reason }];
  }
}

/** A field's template, or undefined when the field is absent, null or empty. */
export function fieldTemplate(
  holder: JsonObject,
  field: string,
  { templates }: Pick<CompileEnvironment, 'templates'>,
  escaping: Escaping = 'none',
): CompiledTemplate | undefined {
  const source = holder[field];
  if (typeof source !== 'string' || source === '') return undefined;
  return compileTemplate(source, { escape: escaping, environment: templates });
}

/** An object field; empty when absent or null. */
export function objectField(holder: JsonObject, field: string): JsonObject {
  const value: Json | undefined = holder[field];
  return isJsonObject(value) ? value : {};
}

/** Text for a header or address: one line, without blanks around it. */
export function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ').trim();
}
