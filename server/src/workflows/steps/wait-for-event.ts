import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { compileConditionList, conditionListProblems, conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import type { CompileEnvironment, Problem, StepDefinition, StepOutcome } from '../step.ts';
import { addDuration, durationUnits, parseDuration } from '../timestamps.ts';
import { compiledConditions, isSet, notYet, stepFields } from './channel-step.ts';
import { objectField } from './step-template.ts';

const DEFAULT_WAIT = { unit: 'minutes', value: 15 } as const;
const MAX_WAIT_MS = 30 * 86_400_000;

const messageEvents = [
  'created',
  'queued',
  'sent',
  'not_sent',
  'delivered',
  'delivery_attempted',
  'undelivered',
  'bounced',
  'read',
  'unread',
  'seen',
  'unseen',
  'archived',
  'unarchived',
  'interacted',
  'link_clicked',
] as const;

/** What happens to messages of guides: they are not sent, they are seen where the reader is. */
const guideEvents = ['seen', 'interacted', 'archived', 'unarchived'] as const;

const events: { readonly [type: string]: readonly string[] } = {
  message: messageEvents,
  workflow: ['started', 'completed'],
  audience: ['enter', 'exit'],
  recipient: ['updated'],
};

const Reaction = nullable(Type.Enum(['continue', 'halt']));

/** What the run listens to, in the words of `event_wait`. */
type Listened = { readonly kind: string; readonly source: string; readonly event: string };

/**
 * Waits until something happens to the recipient: a message of a workflow or guide changes its status, a run of a workflow
 * starts or ends, the recipient is updated, or enters or leaves an audience. The first event that matches counts;
 * after `expires_after` (15 minutes where nothing is said, 30 days at most) the wait is over.
 */
export const waitForEventStep: StepDefinition = {
  type: 'wait_for_event',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('wait_for_event'),
    settings: Type.Object({
      // Which of these there must be depends on the type: see `eventProblems`.
      event: Type.Object({
        event_type: Type.String(),
        event_key: Type.Optional(Type.Unknown()),
        source_key: Type.Optional(Type.Unknown()),
        source_type: Type.Optional(Type.Unknown()),
        audience_key: Type.Optional(Type.Unknown()),
      }),
      expires_after: nullable(
        Type.Object({ unit: Type.Enum([...durationUnits]), value: Type.Integer() }),
      ),
      match_conditions: nullable(Type.Array(Type.Object({}), { maxItems: 20 })),
      on_match: Reaction,
      on_timeout: Reaction,
    }),
  }),

  problems: (step, path, environment) => {
    const settings = objectField(step, 'settings');
    const at = `${path}.settings`;
    return [
      ...conditionProblems(step.conditions, `${path}.conditions`),
      ...eventProblems(objectField(settings, 'event'), `${at}.event`, environment),
      ...expiryProblems(settings.expires_after, `${at}.expires_after`),
      ...matchConditionProblems(settings.match_conditions, `${at}.match_conditions`),
    ];
  },

  compile: (step) => {
    const settings = objectField(step, 'settings');
    const listened = listenedTo(objectField(settings, 'event'));
    const duration = parseDuration(settings.expires_after) ?? DEFAULT_WAIT;
    const matches = compileConditionList(
      groups(settings.match_conditions).flatMap((group) => conditionsOf(group)),
    );
    const name = `${listened.kind} ${listened.source === '' ? '' : `"${listened.source}" `}${listened.event}`;

    const woken = (taken: JsonObject): StepOutcome => {
      if (taken.taken !== true) return { kind: 'gone' };
      const { event } = taken;
      const isMatch = isJsonObject(event);
      const reason = isMatch ? `${name} happened` : `${name} did not happen in time`;
      if ((isMatch ? settings.on_match : settings.on_timeout) === 'halt') {
        return { kind: 'halt', reason };
      }
      const ref = isMatch ? { matched: true, signal_variables: event } : { matched: false };
      return { kind: 'continue', reason, ref };
    };

    return {
      ref: String(step.ref),
      type: 'wait_for_event',
      ...compiledConditions(step),
      execute: ({ nowMs }) => ({
        kind: 'listen',
        untilMs: addDuration(nowMs, duration),
        listen: { ...listened },
        reason: `for ${name}, until ${new Date(addDuration(nowMs, duration)).toISOString()}`,
      }),
      answer: ({ scope }, answer) => {
        if (typeof answer.taken === 'boolean') return woken(answer);
        const { event = null } = answer;
        if (isJsonObject(event) && !matches({ ...scope, event })) return { kind: 'gone' };
        return { kind: 'ask', question: { kind: 'wait', event } };
      },
    };
  },
};

function listenedTo(event: JsonObject): Listened {
  const kind = String(event.event_type);
  const source = event.source_key ?? event.audience_key;
  const key = typeof source === 'string' ? source : '';
  return {
    kind,
    // Keys have no "/": no workflow's source is a guide's.
    source: isOfGuide(event) ? `guide/${key}` : key,
    event: typeof event.event_key === 'string' ? event.event_key : 'updated',
  };
}

function isOfGuide({ event_type, source_type }: JsonObject): boolean {
  return event_type === 'message' && source_type === 'guide';
}

function eventProblems(
  event: JsonObject,
  path: string,
  environment: CompileEnvironment,
): Problem[] {
  const { event_type: type } = event;
  if (type === 'integration_source') {
    return [notYet(`${path}.event_type`, 'events of integration sources')];
  }
  const keys = isOfGuide(event) ? guideEvents : events[String(type)];
  if (!keys) {
    const reason = `must be one of ${Object.keys(events).join(', ')}, not ${JSON.stringify(type)}`;
    return [{ path: `${path}.event_type`, reason }];
  }
  const problems: Problem[] = [];
  const key = event.event_key ?? (type === 'recipient' ? 'updated' : undefined);
  if (typeof key !== 'string' || !keys.some((known) => known === key)) {
    const reason = `must be one of ${keys.join(', ')}, not ${JSON.stringify(key ?? null)}`;
    problems.push({ path: `${path}.event_key`, reason });
  }
  if (isOfGuide(event)) {
    problems.push(
      ...sourceProblems(event.source_key, `${path}.source_key`, 'guide', environment.guide),
    );
  } else if (type === 'message' && isSet(event.source_type) && event.source_type !== 'workflow') {
    problems.push(
      notYet(`${path}.source_type`, 'messages of other sources than workflows and guides'),
    );
  } else if (type === 'message' || type === 'workflow') {
    problems.push(
      ...sourceProblems(event.source_key, `${path}.source_key`, 'workflow', environment.workflow),
    );
  } else if (type === 'audience') {
    const at = `${path}.audience_key`;
    problems.push(...sourceProblems(event.audience_key, at, 'audience', environment.audience));
  }
  return problems;
}

function sourceProblems(
  key: Json | undefined,
  path: string,
  what: string,
  exists: (key: string) => boolean,
): Problem[] {
  if (typeof key !== 'string' || key === '') {
    return [{ path, reason: `must be the key of the ${what} to wait for` }];
  }
  return exists(key) ? [] : [{ path, reason: `the environment has no ${what} "${key}"` }];
}

function expiryProblems(value: Json | undefined, path: string): Problem[] {
  const duration = parseDuration(value);
  if (!duration) return [];
  if (duration.value < 1) return [{ path: `${path}.value`, reason: 'must be at least 1' }];
  if (addDuration(0, duration) <= MAX_WAIT_MS) return [];
  return [{ path, reason: 'must be at most 30 days' }];
}

function matchConditionProblems(value: Json | undefined, path: string): Problem[] {
  return groups(value).flatMap((group, index): Problem[] => {
    const { operator = 'and', conditions = [] } = group;
    const at = `${path}[${index}]`;
    const reason = 'must be "and": all conditions of all groups must hold';
    return [
      ...(operator === 'and' ? [] : [{ path: `${at}.operator`, reason }]),
      ...conditionListProblems(conditions, `${at}.conditions`),
    ];
  });
}

function groups(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function conditionsOf(group: JsonObject): readonly Json[] {
  return Array.isArray(group.conditions) ? group.conditions : [];
}
