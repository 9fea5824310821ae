import type { JsonObject } from '../../src/lib/json.ts';
import { bareEnvironment } from '../../src/templates/template-environment.ts';
import { compileWorkflow } from '../../src/workflows/compile-workflow.ts';
import { runScope } from '../../src/workflows/scope.ts';
import type {
  CompileEnvironment,
  RunScope,
  StepMessage,
  StepOutcome,
} from '../../src/workflows/step.ts';

/** The channels that every new account has. */
export const environment: CompileEnvironment = {
  channel: (key) => {
    switch (key) {
      case 'in-app':
        return { id: 'c-feed', type: 'in_app_feed', provider: 'belfry' };
      case 'email':
        return { id: 'c-email', type: 'email', provider: 'smtp' };
      case 'sms':
        return { id: 'c-sms', type: 'sms', provider: 'sms_viewer' };
      case 'push':
        return { id: 'c-push', type: 'push', provider: 'push_viewer' };
      case 'chat':
        return { id: 'c-chat', type: 'chat', provider: 'chat_viewer' };
      case 'webhook':
        return { id: 'c-http', type: 'http', provider: 'webhook' };
      default:
        return undefined;
    }
  },
  channelGroup: () => undefined,
  layout: () => undefined,
  workflow: () => true,
  audience: () => true,
  guide: () => true,
  guideChannel: () => true,
  templates: bareEnvironment,
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
    listsActivity: true,
  });
}

/** An outcome, in place of its one message that message. */
export type Done = Exclude<StepOutcome, { kind: 'message' }> | ({ kind: 'message' } & StepMessage);

export function withOneMessage(outcome: StepOutcome): Done {
  if (outcome.kind !== 'message') return outcome;
  const [message, ...others] = outcome.messages;
  if (!message || others.length > 0) throw new Error(`${outcome.messages.length} messages`);
  return { kind: 'message', ...message };
}

/** What a workflow of this one step does. */
export function execute(
  step: JsonObject,
  scope: RunScope = scopeWith(),
  settings: { readonly skip_delay?: boolean } = {},
): Done {
  const workflow = compileWorkflow({
    versionId: 1,
    environmentId: 1,
    key: 'test',
    content: { name: 'Test', steps: [step] },
    environment,
  });
  const [compiled] = workflow.steps;
  if (!compiled) throw new Error('no step');
  return withOneMessage(
    compiled.execute({
      scope,
      nowMs,
      timezone: undefined,
      settings,
      attempt: 0,
      refusal: () => undefined,
    }),
  );
}
