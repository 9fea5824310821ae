import type { JsonObject } from '../lib/json.ts';
import type { RunScope } from './step.ts';

/** Values of secret variables, for what is requested outside and for nothing that is kept; and a way to keep secrets. */
export type StepSecrets = {
  readonly values: JsonObject;
  /** The same names with masks. */
  readonly masks: JsonObject;
  /** Makes fields of a message unreadable for everybody but who sends it. */
  readonly seal: (fields: JsonObject) => string;
};

/** Whether a template may read variables at all: itself or in a partial. */
export function mayReadSecrets(template: JsonObject): boolean {
  return /vars|render/.test(JSON.stringify(template));
}

/** A scope whose `vars` have these beside the public ones. */
export function withSecrets(scope: RunScope, secrets: JsonObject): RunScope {
  return { ...scope, vars: { ...scope.vars, ...secrets } };
}
