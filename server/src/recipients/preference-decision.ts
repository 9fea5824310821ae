import { isJsonObject, type Json } from '../lib/json.ts';
import {
  commercialSubscribed,
  type EffectivePreferences,
  entryOf,
  layerOf,
  type PreferenceLayer,
} from './preference-layers.ts';

export type PreferenceQuestion = {
  readonly preferences: EffectivePreferences;
  /** The run's; it is named in reasons. */
  readonly tenant: string | null;
  readonly workflowKey: string;
  readonly categories: readonly string[];
  readonly channelType: string;
  readonly channelId: string;
  /** A commercial workflow also asks for `commercial_subscribed`. */
  readonly isCommercial: boolean;
  /** Which of these conditions is false, in words; undefined: all are true. */
  readonly falseCondition: (conditions: readonly Json[]) => string | undefined;
};

/** What says no: where in the sets, and the false condition when it is one. */
type No = { readonly path: readonly string[]; readonly condition?: string };

const ON: readonly string[] = [];

/**
 * Why a channel step must not send, in words that name the set and the entry, or undefined. It may send when
 * everything that is set says yes: the workflow's entry, every category's, the channel's or its type's. What is not
 * set says yes. Called for every channel step of every run, so it only merges entries that several sets have.
 */
export function preferenceRefusal(question: PreferenceQuestion): string | undefined {
  const { layers, commercial } = question.preferences;
  if (layers.length > 0) {
    const no = refusalOf(layers, question);
    if (no) return inWords(layers, no, question);
  }
  if (!question.isCommercial || commercial.length === 0) return undefined;
  const no = setting(commercialSubscribed(commercial), ON, 'commercial_subscribed', question);
  return no && inWords(commercial, no, question);
}

function refusalOf(
  layers: readonly PreferenceLayer[],
  question: PreferenceQuestion,
): No | undefined {
  const { workflowKey, channelId, channelType } = question;
  const workflow = entryOf(layers, 'workflows', workflowKey);
  const no = workflow !== undefined && entry(workflow, 'workflows', workflowKey, question);
  if (no) return no;
  for (const category of question.categories) {
    const value = entryOf(layers, 'categories', category);
    const refused = value !== undefined && entry(value, 'categories', category, question);
    if (refused) return refused;
  }
  const channel = entryOf(layers, 'channels', channelId);
  if (channel !== undefined) return setting(channel, ['channels'], channelId, question);
  const type = entryOf(layers, 'channel_types', channelType);
  return type === undefined ? undefined : setting(type, ['channel_types'], channelType, question);
}

/** A workflow or category: on or off, or its own channels, channel types and conditions. */
function entry(
  value: Json,
  part: string,
  key: string,
  question: PreferenceQuestion,
): No | undefined {
  if (!isJsonObject(value)) return value === false ? { path: [part, key] } : undefined;
  const { channelId, channelType } = question;
  const no = setting(value, [part], key, question);
  if (no) return no;
  // The channel's own entry decides over the one of its type.
  const channel = own(value.channels, channelId);
  if (channel !== undefined) return setting(channel, [part, key, 'channels'], channelId, question);
  return setting(
    own(value.channel_types, channelType),
    [part, key, 'channel_types'],
    channelType,
    question,
  );
}

/** true, false or `{conditions}`; anything else is not set, which is yes. */
function setting(
  value: Json | undefined,
  above: readonly string[],
  key: string,
  question: PreferenceQuestion,
): No | undefined {
  if (value === false) return { path: [...above, key] };
  if (!isJsonObject(value)) return undefined;
  const { conditions } = value;
  if (!Array.isArray(conditions) || conditions.length === 0) return undefined;
  const condition = question.falseCondition(conditions);
  return condition === undefined ? undefined : { path: [...above, key, 'conditions'], condition };
}

/** A workflow may be called `constructor`. */
function own(map: Json | undefined, key: string): Json | undefined {
  if (!isJsonObject(map) || !Object.hasOwn(map, key)) return undefined;
  return map[key] ?? undefined;
}

const NAMES: { readonly [part: string]: string } = {
  workflows: 'workflow',
  categories: 'category',
  channels: 'channel',
  channel_types: 'channel type',
};

/** `the recipient's default set: channel type email of category marketing is off` */
function inWords(
  layers: readonly PreferenceLayer[],
  { path, condition }: No,
  { tenant }: PreferenceQuestion,
): string {
  const names: string[] = [];
  for (let i = 0; i + 1 < path.length; i += 2) {
    names.unshift(`${NAMES[path[i] ?? ''] ?? ''} ${path[i + 1] ?? ''}`);
  }
  const what = path[0] === 'commercial_subscribed' ? 'commercial messages' : names.join(' of ');
  const is = path[0] === 'commercial_subscribed' ? 'are off' : 'is off';
  const set = setName(layerOf(layers, path), tenant);
  return condition === undefined ? `${set}: ${what} ${is}` : `${set}: ${what}: ${condition}`;
}

function setName(layer: PreferenceLayer | undefined, tenant: string | null): string {
  switch (layer?.of) {
    case 'recipient':
      return "the recipient's default set";
    case 'recipient for tenant':
      return `the recipient's set for the tenant ${tenant}`;
    case 'tenant':
      return `the default set of the tenant ${tenant}`;
    case 'environment':
      return "the environment's default set";
    default:
      return 'the preferences';
  }
}
