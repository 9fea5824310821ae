import { deepMerge, isJsonObject, type Json, type JsonObject } from '../lib/json.ts';

export type PreferenceQuestion = {
  /**
   * The sets that apply, the most particular first: the recipient's, then its tenant's, then the
   * environment's default. Absent ones are left out.
   */
  readonly sets: readonly JsonObject[];
  readonly workflowKey: string;
  readonly categories: readonly string[];
  readonly channelType: string;
  readonly channelId: string;
  /** A commercial workflow also asks for `commercial_subscribed`. */
  readonly isCommercial?: boolean;
  /** Whether all of these preference conditions hold. */
  readonly evaluate: (conditions: readonly Json[]) => boolean;
};

export type PreferenceDecision =
  | { readonly send: true }
  /** `reason` names the entry that says no, such as `workflows.new-comment.channel_types.email`. */
  | { readonly send: false; readonly reason: string };

const SEND: PreferenceDecision = { send: true };

/**
 * Whether a channel step may send. It may when everything that the recipient set says yes: the
 * workflow's entry and every category's and the channel's or channel type's. What is not set says
 * yes. Called for every channel step of every run, so it allocates nothing when it says yes to one
 * set or none; several sets are merged first, which is rare.
 */
export function decidePreference(question: PreferenceQuestion): PreferenceDecision {
  const { sets } = question;
  const first = sets[0];
  if (first === undefined) return SEND;
  let set = first;
  for (let i = 1; i < sets.length; i++) {
    const broader = sets[i];
    if (broader !== undefined) set = deepMerge(broader, set);
  }

  const workflows = set.workflows;
  if (isJsonObject(workflows)) {
    const refusal = entryRefusal(own(workflows, question.workflowKey), question);
    if (refusal !== undefined) return refuse(`workflows.${question.workflowKey}${refusal}`);
  }
  const categories = set.categories;
  if (isJsonObject(categories)) {
    for (const category of question.categories) {
      const refusal = entryRefusal(own(categories, category), question);
      if (refusal !== undefined) return refuse(`categories.${category}${refusal}`);
    }
  }
  const refusal = channelRefusal(set, question);
  if (refusal !== undefined) return refuse(refusal.slice(1));
  if (question.isCommercial && !says(set.commercial_subscribed, question)) {
    return refuse('commercial_subscribed');
  }
  return SEND;
}

function refuse(reason: string): PreferenceDecision {
  return { send: false, reason };
}

/** The path below a workflow's or category's entry that says no, or undefined for yes. */
function entryRefusal(entry: Json | undefined, question: PreferenceQuestion): string | undefined {
  if (entry === false) return '';
  if (!isJsonObject(entry)) return undefined;
  if (!holds(entry.conditions, question)) return '.conditions';
  return channelRefusal(entry, question);
}

/** The channel's own entry decides over the one of its type. */
function channelRefusal(level: JsonObject, question: PreferenceQuestion): string | undefined {
  const channels = level.channels;
  if (isJsonObject(channels)) {
    const channel = own(channels, question.channelId);
    if (channel !== undefined && channel !== null) {
      return says(channel, question) ? undefined : `.channels.${question.channelId}`;
    }
  }
  const types = level.channel_types;
  if (isJsonObject(types) && !says(own(types, question.channelType), question)) {
    return `.channel_types.${question.channelType}`;
  }
  return undefined;
}

/** true, false or `{conditions}`; anything else is not set, which is yes. */
function says(setting: Json | undefined, question: PreferenceQuestion): boolean {
  if (setting === false) return false;
  return isJsonObject(setting) ? holds(setting.conditions, question) : true;
}

function holds(conditions: Json | undefined, question: PreferenceQuestion): boolean {
  return Array.isArray(conditions) && conditions.length > 0 ? question.evaluate(conditions) : true;
}

/** A workflow may be called `constructor`. */
function own(map: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
