import { compileTemplate } from '../templates/compile-template.ts';
import { bareEnvironment } from '../templates/template-environment.ts';
import { isRooted, parsePath, resolvePath } from './paths.ts';
import type { RunScope } from './step.ts';

export type Operand = (scope: RunScope) => unknown;

/**
 * JSON where the text parses as JSON, else a path. A text that is neither is itself for an
 * argument, and a key of the trigger's data for a variable. `{{ }}` renders first.
 */
export function compileOperand(source: unknown, role: 'variable' | 'argument'): Operand {
  if (typeof source !== 'string') return () => source;
  if (source.includes('{{') || source.includes('{%')) {
    const template = compileTemplate(source, { escape: 'none', environment: bareEnvironment });
    return (scope) => decode(template.render(scope)).value;
  }
  const decoded = decode(source);
  if (decoded.json) return () => decoded.value;
  const path = parsePath(source);
  if (!path || (role === 'argument' && (!isRooted(path) || path.length < 2))) return () => source;
  return (scope) => resolvePath(path, scope);
}

/** The argument of a condition when it is no path: JSON where it parses, else itself. */
export function decodeArgument(argument: unknown): unknown {
  return typeof argument === 'string' ? decode(argument).value : argument;
}

function decode(text: string): { readonly json: boolean; readonly value: unknown } {
  try {
    return { json: true, value: JSON.parse(text) };
  } catch {
    return { json: false, value: text };
  }
}
