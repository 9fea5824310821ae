import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import type { Effect, Problem, RunScope, StepDefinition, StepOutcome } from '../step.ts';
import { StepError } from '../step-error.ts';
import { compiledConditions, isSet, stepFields } from './channel-step.ts';
import { fieldTemplate, objectField, oneLine, templateProblems } from './step-template.ts';

/** Workflows that trigger each other, one in another: a circle ends here. */
const MAX_DEPTH = 10;

const FIELDS = [
  'workflow_key',
  'recipients',
  'actor',
  'tenant',
  'data',
  'cancellation_key',
] as const;

/**
 * Triggers another workflow. Recipients, actor, tenant and data are the run's own where the step says nothing. The
 * runs come with the results of this one: all or nothing, once.
 */
export const triggerWorkflowStep: StepDefinition = {
  type: 'trigger_workflow',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('trigger_workflow'),
    settings: Type.Object({
      workflow_key: Type.String({ minLength: 1 }),
      recipients: nullable(Type.String()),
      actor: nullable(Type.String()),
      tenant: nullable(Type.String()),
      data: nullable(Type.String()),
      cancellation_key: nullable(Type.String()),
    }),
  }),

  problems: (step, path, environment) => {
    const settings = objectField(step, 'settings');
    const at = `${path}.settings`;
    return [
      ...conditionProblems(step.conditions, `${path}.conditions`),
      ...FIELDS.flatMap((field) => templateProblems(settings, field, at, environment)),
      ...keyProblems(String(settings.workflow_key), at, environment.workflow),
    ];
  },

  compile: (step, environment) => {
    const settings = objectField(step, 'settings');
    const template = (field: (typeof FIELDS)[number]) =>
      isSet(settings[field]) ? fieldTemplate(settings, field, environment) : undefined;
    const key = template('workflow_key');
    const recipients = template('recipients');
    const actor = template('actor');
    const tenant = template('tenant');
    const data = template('data');
    const cancellationKey = template('cancellation_key');
    return {
      ref: String(step.ref),
      type: 'trigger_workflow',
      ...compiledConditions(step),
      execute: ({ scope, settings: { depth = 0 } }): StepOutcome => {
        if (depth >= MAX_DEPTH) {
          const reason = `${depth} workflows triggered each other before; one more would be too many`;
          throw new StepError('too_deep', reason);
        }
        const own = referenceTo(scope.recipient);
        const wanted = recipients ? list(person(recipients.render(scope), scope)) : [own];
        const request: { [field: string]: Json } = {
          recipients: wanted,
          actor: actor ? person(actor.render(scope), scope) : referenceOrNull(scope.actor),
          tenant: tenant ? json(tenant.render(scope)) : idOrNull(scope.tenant),
          data: data ? json(data.render(scope)) : scope.data,
          cancellation_key: cancellationKey ? oneLine(cancellationKey.render(scope)) : null,
        };
        const workflowKey = oneLine(key?.render(scope) ?? '');
        // Who subscribes to the run's own object has a run of this workflow, which triggers for them.
        const fanOut = JSON.stringify(wanted) !== JSON.stringify([own]);
        return { kind: 'ask', question: { kind: 'trigger', workflowKey, request, fanOut } };
      },

      answer: (_, { error, effects, runs, workflowKey }): StepOutcome => {
        if (typeof error === 'string') throw new StepError('not_triggered', error);
        return {
          kind: 'continue',
          reason: `triggers "${workflowKey}" for ${runs === 1 ? '1 recipient' : `${runs} recipients`}`,
          effects: (Array.isArray(effects) ? effects.filter(isJsonObject) : []) as Effect[],
        };
      },
    };
  },
};

/** JSON where it is some, else the text; nothing is null. */
function json(rendered: string): Json {
  const text = oneLine(rendered);
  if (text === '') return null;
  // An id may look like a number; a list, an object or a quoted text is meant as JSON.
  if (!/^[[{"]/.test(text)) return text === 'null' ? null : text;
  try {
    return JSON.parse(rendered);
  } catch {
    return text;
  }
}

/** As `json`; the id of somebody in the run alone stands for them, whatever their collection. */
function person(rendered: string, { recipient, actor }: RunScope): Json {
  const value = json(rendered);
  const known = [recipient, actor].find((somebody) => somebody && somebody.id === value);
  return known ? referenceTo(known) : value;
}

function list(value: Json): Json {
  return Array.isArray(value) || value === null ? value : [value];
}

function referenceTo({ id = null, collection }: JsonObject): Json {
  return typeof collection === 'string' ? { id, collection } : id;
}

function referenceOrNull(somebody: JsonObject | null): Json {
  return somebody ? referenceTo(somebody) : null;
}

function idOrNull(tenant: JsonObject | null): Json {
  return tenant?.id ?? null;
}

function keyProblems(key: string, path: string, exists: (key: string) => boolean): Problem[] {
  if (key.includes('{{') || key.includes('{%') || exists(key)) return [];
  const reason = `the environment has no workflow "${key}"`;
  return [{ path: `${path}.workflow_key`, reason }];
}
