import type { Queryable } from '../db/database.ts';
import type { Json, JsonObject } from '../lib/json.ts';
import type { SecretBox } from '../lib/secret-box.ts';

/** Names in `vars` that no variable can have. */
export const RESERVED_VARS = new Set([
  'app_name',
  'branding',
  'commercial_unsubscribe_url',
  'manage_preferences_url',
]);

/** A row of `variable`; values of secret ones are sealed. */
export type VariableRow = {
  readonly key: string;
  readonly type: 'public' | 'secret';
  readonly value: string | null;
  readonly environment_values: { readonly [slug: string]: string };
};

type Place = { readonly accountId: number; readonly slug: string };

export type Vars = {
  /** What templates of an environment see as `vars`: its public variables, `app_name`, `branding`. */
  readonly vars: JsonObject;
  /** Values of its secret variables: for requests alone. */
  readonly secrets: JsonObject;
};

/** The variables of an environment. */
export async function loadVars(
  db: Queryable,
  environment: Place,
  options: {
    readonly appName: string;
    readonly branding: JsonObject;
    /** Absent: without secret variables. */
    readonly secrets?: SecretBox;
    /** Told of each secret variable that cannot be opened. */
    readonly unreadable: (key: string) => void;
  },
): Promise<Vars> {
  const { secrets } = options;
  const rows = await db.query<VariableRow>(
    `
    select key, type, value, environment_values
    from variable
    where account_id = $1
      and ($2 or type = 'public')
    order by key`,
    [environment.accountId, secrets !== undefined],
  );
  const vars: [string, Json][] = [];
  const hidden: [string, Json][] = [];
  for (const row of rows) {
    const own = Object.hasOwn(row.environment_values, environment.slug)
      ? row.environment_values[environment.slug]
      : undefined;
    const kept = own ?? row.value;
    if (kept === null || kept === undefined) continue;
    const about = sealedAbout(
      environment.accountId,
      row.key,
      own === undefined ? '' : environment.slug,
    );
    const text = row.type === 'public' ? kept : secrets?.open(kept, about);
    if (text === undefined) options.unreadable(row.key);
    else (row.type === 'public' ? vars : hidden).push([row.key, meant(text)]);
  }
  // fromEntries defines own properties, also one named __proto__.
  return {
    vars: {
      ...Object.fromEntries(vars),
      app_name: options.appName,
      branding: options.branding,
    },
    secrets: Object.fromEntries(hidden),
  };
}

/** What a sealed value is for; `slug` is '' for the value of all environments. */
export function sealedAbout(accountId: number, key: string, slug: string): string {
  return JSON.stringify(['variable', accountId, key, slug]);
}

/** A text that is JSON as the value that it stands for, as long as that would be written the same. */
function meant(text: string): Json {
  if (!/^\s*[[{]|^(?:true|false|-?\d[\d.]*)$/.test(text)) return text;
  try {
    const value: Json = JSON.parse(text);
    return typeof value === 'number' && String(value) !== text ? text : value;
  } catch {
    return text;
  }
}
