import type { JsonObject } from '../lib/json.ts';
import type { RunScope } from './step.ts';

export type RunScopeInput = {
  readonly recipient: JsonObject;
  readonly actor: JsonObject | null;
  readonly tenant: JsonObject | null;
  /** The trigger's data, this recipient's own merged in. Shared, never copied. */
  readonly data: JsonObject;
  /** `CompiledWorkflow.scope` */
  readonly workflow: JsonObject;
  readonly vars: JsonObject;
  /** ISO 8601, UTC; made once a slice. */
  readonly timestamp: string;
};

/**
 * What one recipient's templates and conditions see. Always the same keys in the same order, so
 * that all scopes share one hidden class; templates find data keys at the top level without a copy
 * (see `templates/template-scope.ts`), and no data key can shadow a name of the scope.
 */
export function runScope(input: RunScopeInput): RunScope {
  return {
    recipient: input.recipient,
    actor: input.actor,
    tenant: input.tenant,
    data: input.data,
    workflow: input.workflow,
    vars: input.vars,
    timestamp: input.timestamp,
  };
}
