import { type AuditEntry, type By, byItself, writeAudit } from '../accounts/audit.ts';
import type { Context, Environment } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { MASK } from '../lib/secret-texts.ts';
import { unstorable } from '../lib/text.ts';
import { lockEnvironments, raiseRevision } from './publish-rows.ts';
import { RESERVED_VARS, sealedAbout } from './vars.ts';

export type VariableType = 'public' | 'secret';

/** A variable as it is listed: values of secret ones are masked. */
export type Variable = {
  readonly key: string;
  readonly type: VariableType;
  readonly description: string | null;
  /** Of every environment without a value of its own; null: none. */
  readonly value: string | null;
  /** By the environment's slug. */
  readonly environment_values: { readonly [slug: string]: string };
  readonly inserted_at: string;
  readonly updated_at: string;
};

export type SetVariable = {
  readonly accountId: number;
  readonly key: string;
  readonly value: string;
  /** Absent: as it is, public for a new one. */
  readonly type?: VariableType | undefined;
  readonly description?: string | undefined;
  /** Absent: the value of all environments that have none of their own. */
  readonly environment?: Environment | undefined;
};

const KEY = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/;
const MAX_VARIABLES = 500;
const MAX_VALUE_LENGTH = 8_192;
const MAX_DESCRIPTION_LENGTH = 280;

type Row = Omit<Variable, 'inserted_at' | 'updated_at'> & {
  readonly inserted_at: Date;
  readonly updated_at: Date;
};

/**
 * Sets the value of a variable, of all environments or of one; the type of a variable that has values stays. Runs see it
 * within 2 s. Throws `invalid_params`, and `conflict` for another type.
 */
export async function setVariable(
  ctx: Context & { readonly secrets: SecretBox },
  input: SetVariable,
  by: By = byItself,
): Promise<Variable> {
  const { accountId, key, value, environment } = input;
  refuseBad(input);
  return ctx.db.transaction(async (tx) => {
    await lockEnvironments(tx, accountId, undefined);
    const known = await findVariable(tx, accountId, key);
    const type = input.type ?? known?.type ?? 'public';
    if (known && known.type !== type) {
      throw new BelfryError(
        'conflict',
        `The variable "${key}" is ${known.type}; unset it before you set it as ${type}`,
      );
    }
    if (!known) await refuseTooMany(tx, accountId);
    const slug = environment?.slug ?? '';
    const kept =
      type === 'secret' ? ctx.secrets.seal(value, sealedAbout(accountId, key, slug)) : value;
    const [row] = await tx.query<Row>(
      `
      insert into variable as kept (account_id, key, type, description, value, environment_values)
      values (
        $1, $2, $3, $4,
        case when $5 = '' then $6 end,
        case when $5 = '' then '{}' else jsonb_build_object($5::text, $6::text) end
      )
      on conflict (account_id, key) do update
      set description = coalesce(excluded.description, kept.description),
        value = coalesce(excluded.value, kept.value),
        environment_values = kept.environment_values || excluded.environment_values,
        updated_at = now()
      returning key, type, description, value, environment_values, inserted_at, updated_at`,
      [accountId, key, type, input.description ?? null, slug, kept],
    );
    if (!row) throw new Error('an upsert without a condition wrote nothing');
    await raiseRevision(tx, accountId, environment?.id);
    const entry = { ...by, action: 'variable set', ...about(input), concerned: { key, type } };
    await writeAudit(tx, entry, ctx.clock.now());
    return listed(row);
  });
}

/** What the audit log says a change was made to. */
function about({
  accountId,
  environment,
}: Pick<SetVariable, 'accountId' | 'environment'>): Pick<AuditEntry, 'scope'> {
  return { scope: environment ? { environmentId: environment.id } : { accountId } };
}

/** Removes a variable, or only its value of one environment. Throws `resource_missing`. */
export async function unsetVariable(
  ctx: Context,
  input: {
    readonly accountId: number;
    readonly key: string;
    readonly environment?: Environment | undefined;
  },
  by: By = byItself,
): Promise<void> {
  const { accountId, key, environment } = input;
  await ctx.db.transaction(async (tx) => {
    await lockEnvironments(tx, accountId, undefined);
    const gone = environment
      ? await tx.query(
          `
          update variable
          set environment_values = environment_values - $3::text, updated_at = now()
          where account_id = $1
            and key = $2
            and environment_values ? $3::text
          returning key`,
          [accountId, key, environment.slug],
        )
      : await tx.query(
          `
          delete from variable
          where account_id = $1
            and key = $2
          returning key`,
          [accountId, key],
        );
    if (gone.length === 0) {
      throw new BelfryError(
        'resource_missing',
        environment
          ? `The variable ${shown(key)} has no value of its own in ${environment.slug}`
          : `The account has no variable ${shown(key)}`,
      );
    }
    await raiseRevision(tx, accountId, environment?.id);
    const entry = { ...by, action: 'variable unset', ...about(input), concerned: { key } };
    await writeAudit(tx, entry, ctx.clock.now());
  });
}

/** The variables of an account by key. */
export async function listVariables(db: Queryable, accountId: number): Promise<Variable[]> {
  const rows = await db.query<Row>(
    `
    select key, type, description, value, environment_values, inserted_at, updated_at
    from variable
    where account_id = $1
    order by key`,
    [accountId],
  );
  return rows.map(listed);
}

function listed(row: Row): Variable {
  const masked = (value: string) => (row.type === 'secret' ? MASK : value);
  return {
    ...row,
    value: row.value === null ? null : masked(row.value),
    environment_values: Object.fromEntries(
      Object.entries(row.environment_values).map(([slug, value]) => [slug, masked(value)]),
    ),
    inserted_at: row.inserted_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

function refuseBad({ key, value, description }: SetVariable): void {
  if (!KEY.test(key)) {
    throw invalidField(
      'key',
      `${shown(key)} must begin with a letter or "_" and have up to 255 of letters, digits and "_"`,
    );
  }
  if (RESERVED_VARS.has(key)) {
    throw invalidField('key', `"${key}" is a name that Belfry gives itself; take another one`);
  }
  if (value.length > MAX_VALUE_LENGTH) {
    const reason = `has ${value.length} characters, at most ${MAX_VALUE_LENGTH} are allowed`;
    throw invalidField('value', reason);
  }
  const reason = unstorable(value);
  if (reason) throw invalidField('value', reason);
  if (description === undefined) return;
  if (description.length > MAX_DESCRIPTION_LENGTH) {
    throw invalidField('description', `must have at most ${MAX_DESCRIPTION_LENGTH} characters`);
  }
  const unkept = unstorable(description);
  if (unkept) throw invalidField('description', unkept);
}

async function refuseTooMany(tx: Queryable, accountId: number): Promise<void> {
  const [row] = await tx.query<{ readonly count: number }>(
    `
    select count(*) as count
    from variable
    where account_id = $1`,
    [accountId],
  );
  if ((row?.count ?? 0) < MAX_VARIABLES) return;
  throw invalidField(
    'key',
    `would be the account's variable number ${MAX_VARIABLES + 1}; at most ${MAX_VARIABLES} are allowed`,
  );
}

async function findVariable(
  tx: Queryable,
  accountId: number,
  key: string,
): Promise<{ readonly type: VariableType } | undefined> {
  const [row] = await tx.query<{ readonly type: VariableType }>(
    `
    select type
    from variable
    where account_id = $1
      and key = $2`,
    [accountId, key],
  );
  return row;
}

function shown(key: string): string {
  return JSON.stringify(key.slice(0, 300));
}
