import { type By, byItself, writeAudit } from '../accounts/audit.ts';
import type { Context } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { lockEnvironments, raiseRevision } from './publish-rows.ts';

/** The fields of an account's branding; a tenant has the same in `settings.branding`. */
export const BRANDING_FIELDS = [
  'logo_url',
  'icon_url',
  'primary_color',
  'primary_color_contrast',
  'dark_logo_url',
  'dark_icon_url',
  'dark_primary_color',
  'dark_primary_color_contrast',
] as const;

export type Branding = { readonly [field in (typeof BRANDING_FIELDS)[number]]?: string | null };

/** What recipients see of an account. */
export type AccountFace = { readonly name: string; readonly branding: Branding };

export async function readAccountFace(db: Queryable, accountId: number): Promise<AccountFace> {
  const [row] = await db.query<AccountFace>(
    {
      name: 'account_face',
      text: `
        select name, branding
        from account
        where id = $1`,
    },
    [accountId],
  );
  return row ?? { name: '', branding: {} };
}

/** What `vars.branding` has for recipients without a tenant's own. */
export async function readBranding(db: Queryable, accountId: number): Promise<Branding> {
  const [row] = await db.query<{ readonly branding: Branding }>(
    `
    select branding
    from account
    where id = $1`,
    [accountId],
  );
  return row?.branding ?? {};
}

/** Changes the fields that are given, and removes those that are null; runs see it within 2 s. */
export async function changeBranding(
  ctx: Context,
  input: { readonly accountId: number; readonly branding: Branding },
  by: By = byItself,
): Promise<Branding> {
  const { accountId, branding } = input;
  return ctx.db.transaction(async (tx) => {
    await lockEnvironments(tx, accountId, undefined);
    await tx.query(
      `
      update account
      set branding = jsonb_strip_nulls(branding || $2)
      where id = $1`,
      [accountId, JSON.stringify(branding)],
    );
    await raiseRevision(tx, accountId, undefined);
    const concerned = { fields: Object.keys(branding).join(' ') };
    const entry = { ...by, action: 'branding', scope: { accountId }, concerned };
    await writeAudit(tx, entry, ctx.clock.now());
    return readBranding(tx, accountId);
  });
}
