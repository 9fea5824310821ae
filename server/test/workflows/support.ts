import type { JsonObject } from '../../src/lib/json.ts';
import { compileWorkflow } from '../../src/workflows/compile-workflow.ts';
import { runScope } from '../../src/workflows/scope.ts';
import type { CompileEnvironment, RunScope, StepOutcome } from '../../src/workflows/step.ts';

/** The channels that every new account has. */
export const environment: CompileEnvironment = {
  channel: (key) => {
    switch (key) {
      case 'in-app':
        return { id: 'c-feed', type: 'in_app_feed', provider: 'belfry' };
      case 'email':
        return { id: 'c-email', type: 'email', provider: 'smtp' };
      case 'webhook':
        return { id: 'c-http', type: 'http', provider: 'webhook' };
      default:
        return undefined;
    }
  },
};

export const nowMs = Date.parse('2026-03-01T12:00:00Z');

export function scopeWith(data: JsonObject = {}, recipient: JsonObject = {}): RunScope {
  return runScope({
    recipient: { id: 'u1', name: 'Ann <3', email: 'ann@example.com', ...recipient },
    actor: { id: 'u2', name: 'Zed' },
    tenant: null,
    data,
    workflow: { key: 'test' },
    vars: {},
    timestamp: new Date(nowMs).toISOString(),
  });
}

/** What a workflow of this one step does. */
export function execute(
  step: JsonObject,
  scope: RunScope = scopeWith(),
  settings: { readonly skip_delay?: boolean } = {},
): StepOutcome {
  const workflow = compileWorkflow({
    versionId: 1,
    environmentId: 1,
    key: 'test',
    content: { name: 'Test', steps: [step] },
    environment,
  });
  const [compiled] = workflow.steps;
  if (!compiled) throw new Error('no step');
  return compiled.execute({ scope, nowMs, settings });
}
