import type { JsonObject } from '../../lib/json.ts';
import { parsePath, resolvePath } from '../paths.ts';
import type { CompileEnvironment, Problem, RunScope } from '../step.ts';
import { isSet } from './channel-step.ts';
import { fieldTemplate, templateProblems } from './step-template.ts';

/** A setting by which runs are told apart: a path such as `data.project_id`, or a template. Absent: the same for all. */
export function compileKeySetting(
  holder: JsonObject,
  field: string,
  environment: CompileEnvironment,
): (scope: RunScope) => string {
  if (!isSet(holder[field])) return () => '';
  const source = String(holder[field]);
  if (isTemplate(source)) {
    const template = fieldTemplate(holder, field, environment);
    return (scope) => template?.render(scope).trim() ?? '';
  }
  const path = parsePath(source) ?? [];
  return (scope) => {
    const value = resolvePath(path, scope);
    if (value === undefined || value === null) return '';
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  };
}

/** What is wrong with such a setting. */
export function keySettingProblems(
  holder: JsonObject,
  field: string,
  path: string,
  environment: CompileEnvironment,
): Problem[] {
  if (!isSet(holder[field])) return [];
  const source = String(holder[field]);
  if (isTemplate(source) || parsePath(source)) {
    return templateProblems(holder, field, path, environment);
  }
  const reason = 'must be a path such as "tenant.id", or a template';
  return [{ path: `${path}.${field}`, reason }];
}

function isTemplate(source: string): boolean {
  return source.includes('{{') || source.includes('{%');
}
