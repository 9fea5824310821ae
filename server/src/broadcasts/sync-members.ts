import type { EnvironmentContext } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { parseId } from '../recipients/reference.ts';
import { addMembers, removeMembers } from './audience-members.ts';

/** Rows of a batch at the most: what one call of the verbs takes. */
export const SYNC_ROWS = 1_000;

/** Audiences of a batch at the most; a sync has one, unless its key comes from a column. */
const AUDIENCES = 20;

/** A row as a warehouse sends it; `tenant` is null or undefined for none. */
export type SyncRow = {
  readonly audience: unknown;
  readonly user: unknown;
  readonly tenant?: unknown;
};

type Member = { readonly user: { readonly id: string }; readonly tenant?: string };
type Entry = { readonly index: number; readonly member: Member };

/**
 * Adds or removes up to 1,000 rows of at most 20 audiences, a statement or two for each audience. Returns for each row
 * what is wrong with it, undefined for one that is done. Throws only what trying again can mend; again does no harm.
 *
 * With `create` an audience that is missing is made, and to remove from one is done already; without, its rows fail.
 */
export async function syncMembers(
  ctx: EnvironmentContext,
  input: {
    readonly change: 'add' | 'remove';
    readonly create: boolean;
    readonly rows: readonly SyncRow[];
  },
): Promise<readonly (string | undefined)[]> {
  const { byAudience, problems } = sortRows(input.rows);
  for (const [key, entries] of byAudience) {
    const members = entries.map(({ member }) => member);
    try {
      if (input.change === 'add') await addMembers(ctx, { key, create: input.create, members });
      else await removeMembers(ctx, { key, members });
    } catch (error) {
      if (input.change === 'remove' && input.create && isMissing(error)) continue;
      const problem = problemOf(error);
      for (const { index } of entries) problems[index] = problem;
    }
  }
  return problems;
}

function sortRows(rows: readonly SyncRow[]) {
  const byAudience = new Map<string, Entry[]>();
  const problems: (string | undefined)[] = rows.map(() => undefined);
  for (const [index, row] of rows.entries()) {
    try {
      const key = parseId(row.audience, 'audience_key');
      const member = parseMember(row);
      const entries = byAudience.get(key);
      if (entries) {
        entries.push({ index, member });
      } else if (byAudience.size < AUDIENCES) {
        byAudience.set(key, [{ index, member }]);
      } else {
        throw invalidField(
          'audience_key',
          `has more than ${AUDIENCES} values in this batch; send smaller batches, or a sync for each audience`,
        );
      }
    } catch (error) {
      problems[index] = problemOf(error);
    }
  }
  return { byAudience, problems };
}

function parseMember({ user, tenant }: SyncRow): Member {
  const member = { user: { id: parseId(idText(user), 'user_id') } };
  if (tenant === undefined || tenant === null) return member;
  return { ...member, tenant: parseId(idText(tenant), 'tenant') };
}

/** Columns of ids are often numbers; one that JSON cannot hold exactly stays what it is, and fails. */
function idText(value: unknown): unknown {
  return Number.isSafeInteger(value) ? String(value) : value;
}

function problemOf(error: unknown): string {
  if (error instanceof BelfryError && error.status < 500 && error.status !== 429) {
    return error.message;
  }
  throw error;
}

function isMissing(error: unknown): boolean {
  return error instanceof BelfryError && error.code === 'resource_missing';
}
