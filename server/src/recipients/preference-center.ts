import type { EnvironmentSettings } from '../context.ts';
import { invalidField } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { isUuid } from '../lib/uuid.ts';

/** Of the page behind a signed link: `/p/TOKEN`. */
export const PREFERENCES_PATH = '/p';

export const CENTER_ROW_TYPES = [
  'workflow',
  'channel',
  'category',
  'channel_types',
  'commercial_subscribed',
] as const;

/** Types of channels that preferences know. */
export const CENTER_CHANNEL_TYPES = [
  'email',
  'in_app_feed',
  'in_app_guide',
  'sms',
  'push',
  'chat',
  'http',
] as const;

export type CenterChannelType = (typeof CENTER_CHANNEL_TYPES)[number];

/** A line of the page, with a switch or one for each of its channel types. */
export type CenterRow = {
  readonly type: (typeof CENTER_ROW_TYPES)[number];
  readonly name: string;
  readonly description?: string;
  /** A workflow's key, a category, a channel's id. */
  readonly identifier?: string | null;
  /** None: the row has one switch; of the row `channel_types`: all that people get messages by. */
  readonly channel_types?: CenterChannelType[] | null;
};

export type CenterConfig = {
  readonly title: string;
  readonly body: string;
  readonly show_account_name?: boolean;
  readonly rows: CenterRow[];
};

/** The preference center of an environment. */
export type PreferenceCenter = { readonly enabled: boolean; readonly config: CenterConfig };

const COMMERCIAL_ROW: CenterRow = {
  type: 'commercial_subscribed',
  name: 'Commercial messages',
  description: 'Receive promotional and non-essential notifications.',
};

const DEFAULT_CONFIG: CenterConfig = {
  title: 'Manage preferences',
  body: 'Select which communications you’d like to receive from us.',
  show_account_name: true,
  rows: [COMMERCIAL_ROW],
};

/** As it was set, or the default, which is not enabled. */
export function centerAsSet({ preference_center: stored }: EnvironmentSettings): PreferenceCenter {
  const set = (stored ?? {}) as Partial<PreferenceCenter>;
  return { enabled: set.enabled ?? false, config: set.config ?? DEFAULT_CONFIG };
}

/**
 * As people get it: there is always a row to end commercial messages, at the end when the config has none. A center
 * that is not enabled has that row alone.
 */
export function centerAsShown(settings: EnvironmentSettings): PreferenceCenter {
  const { enabled, config } = centerAsSet(settings);
  const commercial = config.rows.find(({ type }) => type === 'commercial_subscribed');
  if (!enabled) return { enabled, config: { ...config, rows: [commercial ?? COMMERCIAL_ROW] } };
  if (commercial) return { enabled, config };
  return { enabled, config: { ...config, rows: [...config.rows, COMMERCIAL_ROW] } };
}

/**
 * What to keep after a change: what is absent stays, a config of null is the default one again. Throws 422 for rows
 * that nobody could use.
 */
export function changedCenter(
  settings: EnvironmentSettings,
  change: {
    readonly enabled?: boolean | undefined;
    readonly config?: CenterConfig | null | undefined;
  },
): JsonObject {
  const { config } = change;
  if (config) checkConfig(config);
  const { enabled = centerAsSet(settings).enabled } = change;
  const kept = config === undefined ? settings.preference_center?.config : (config ?? undefined);
  return kept === undefined ? { enabled } : { enabled, config: kept };
}

const CONFIG_BYTES = 32 * 1024;

function checkConfig(config: CenterConfig): void {
  const bytes = Buffer.byteLength(JSON.stringify(config));
  // Every process has the settings of the environments that it serves in memory.
  if (bytes > CONFIG_BYTES) {
    throw invalidField('config', `has ${bytes} bytes as JSON, at most ${CONFIG_BYTES} are allowed`);
  }
  checkRows(config.rows);
}

function checkRows(rows: readonly CenterRow[]): void {
  const seen = new Set<string>();
  rows.forEach(({ type, identifier }, i) => {
    const at = `config.rows[${i}]`;
    const isNamed = type === 'workflow' || type === 'category' || type === 'channel';
    if (isNamed && !identifier) {
      throw invalidField(`${at}.identifier`, `must name the ${type}`);
    }
    if (type === 'channel' && !isUuid(identifier ?? '')) {
      throw invalidField(`${at}.identifier`, 'must be the id of a channel');
    }
    const about = JSON.stringify([type, isNamed ? identifier : null]);
    if (seen.has(about)) {
      throw invalidField(at, 'is about the same as an earlier row; put both into one');
    }
    seen.add(about);
  });
}
