import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { decodeArgument } from './condition-operands.ts';
import type { CompileEnvironment } from './step.ts';

/** What conditions need beside the run itself, and who loads it has to know beforehand. */
export type ConditionNeeds = {
  /** Keys of the audiences that somebody's membership is asked of. */
  readonly audiences: readonly string[];
  /** Statuses of the messages of earlier steps. */
  readonly messages: boolean;
};

/** The name of a step has 255 characters at most; without a bound, a long template could keep the server for minutes. */
const STATUS =
  /refs(?:\.|\[)(?:[^"\\]|\\.){0,300}(?:delivery_status|engagement_status|\.status)\b|\$message\./;

/** What may be the status of a message where a template reads it by another name, as partials do. */
const STATUS_NAME = /delivery_status|engagement_status|\bstatus\b/;
/** Names in JSON text, where the letter before one can be of an escaped line break. */
const REFS = /(?:\\[nrt]|\b)refs\b/;
const ACTIVITIES = /(?:\\[nrt]|\b)activities\b/;
/** Where steps and templates name a layout, a partial, or a visual block that is one. */
const LAYOUT_USE = /"layout_key":"([^"\\]+)"/g;
const PARTIAL_USE = /(?:render(?:\s|\\[nrt])*(?:\\"|')|"key":")([a-z0-9_-]+)/g;

/** The needs of everything in a workflow, a list of conditions or a preference set; undefined: none. */
export function conditionNeeds(content: Json): ConditionNeeds | undefined {
  const text = JSON.stringify(content);
  const messages = STATUS.test(text);
  const audiences = new Set<string>();
  if (text.includes('audience_member"')) collectAudiences(content, audiences);
  return messages || audiences.size > 0 ? { audiences: [...audiences], messages } : undefined;
}

/** The same of a workflow, with the rules, channels, layouts and partials that it sends with. */
export function workflowNeeds(
  content: JsonObject,
  environment: CompileEnvironment,
): ConditionNeeds | undefined {
  const pieces = piecesOf(content, environment);
  const needs = conditionNeeds(pieces);
  if (needs?.messages || !hasStatusInPartials(pieces, environment)) return needs;
  return { audiences: needs?.audiences ?? [], messages: true };
}

/** Whether a template or condition of a workflow may look at `activities`; partials see what they are given. */
export function looksAtActivities(content: JsonObject, environment: CompileEnvironment): boolean {
  return ACTIVITIES.test(JSON.stringify(piecesOf(content, environment)));
}

/** A workflow, and the rules, channels and layouts that it sends with. */
function piecesOf(content: JsonObject, environment: CompileEnvironment): Json {
  const text = JSON.stringify(content);
  const groupKeys = [...text.matchAll(/"channel_group_key":"([^"\\]+)"/g)];
  const rules = groupKeys.flatMap(([, key = '']) => environment.channelGroup(key)?.rules ?? []);
  const channelKeys = [
    ...rules.map(({ channelKey }) => channelKey),
    ...[...text.matchAll(/"channel_key":"([^"\\]+)"/g)].map(([, key = '']) => key),
  ];
  const conditions = [
    ...rules.map(({ condition }) => condition),
    ...channelKeys.map((key) => environment.channel(key)?.conditions),
  ];
  const layouts = keysIn(text, LAYOUT_USE).flatMap((key) => {
    const layout = environment.layout(key);
    return layout ? [[layout.html, layout.text, ...layout.footerLinks]] : [];
  });
  return [content, ...conditions.filter((one) => one !== undefined), ...layouts];
}

/**
 * Whether a partial, which sees what it is given, may be given the status of a message. It is better to load one in
 * vain than to show none.
 */
function hasStatusInPartials(content: Json, { templates }: CompileEnvironment): boolean {
  const text = JSON.stringify(content);
  if (!REFS.test(text)) return false;
  const known = new Set<string>();
  const open = keysIn(text, PARTIAL_USE);
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const partial = known.has(key) ? undefined : templates.partial(key);
    known.add(key);
    if (!partial) continue;
    if (STATUS_NAME.test(partial.content)) return true;
    open.push(...keysIn(JSON.stringify(partial.content), PARTIAL_USE));
  }
  return false;
}

function keysIn(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, key = '']) => key))];
}

export function isAudienceOperator(operator: unknown): boolean {
  return operator === 'is_audience_member' || operator === 'is_not_audience_member';
}

function collectAudiences(value: Json | undefined, audiences: Set<string>): void {
  if (Array.isArray(value)) {
    for (const item of value) collectAudiences(item, audiences);
    return;
  }
  if (!isJsonObject(value)) return;
  if (isAudienceOperator(value.operator)) {
    const key = decodeArgument(value.argument);
    if (typeof key === 'string') audiences.add(key);
    return;
  }
  for (const item of Object.values(value)) collectAudiences(item, audiences);
}
