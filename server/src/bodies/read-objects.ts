import { objectKey } from './object-key.ts';
import { type ObjectStore, StoreError } from './object-store.ts';
import type { RequestBudgets } from './request-budgets.ts';
import type { StoredBody } from './stored-body.ts';

/** Ranges so close to each other are one request. */
const GAP_BYTES = 256 * 1024;
const MAX_READ_BYTES = 4 * 1024 * 1024;
const AT_ONCE = 8;

/** A body, with where its pack lies. */
export type LocatedBody = {
  readonly row: { readonly environment_id: number };
  readonly body: StoredBody;
  readonly objectId: string;
  /** Where the pack begins in the object. */
  readonly packAt: number;
};

export type Span = {
  readonly environmentId: number;
  readonly key: string;
  readonly at: number;
  end: number;
  readonly of: number[];
};

/** The bytes of each body, or what the store said; neighbours in an object are read together, eight requests at a time. Budgets are of environments. */
export async function readFromObjects(
  open: () => Promise<ObjectStore>,
  bodies: readonly LocatedBody[],
  budgets?: RequestBudgets,
): Promise<readonly (Buffer | StoreError | undefined)[]> {
  const results: (Buffer | StoreError | undefined)[] = [];
  const spans = spansOf(bodies);
  const next = spans.values();
  const work = async (): Promise<void> => {
    for (const span of next) {
      const bytes = isSpent(budgets, span) ? SPENT : await readSpan(open, span);
      for (const i of span.of) {
        const one = bodies[i];
        if (!one) continue;
        const from = one.packAt + one.body.at - span.at;
        results[i] =
          bytes instanceof StoreError ? bytes : bytes.subarray(from, from + one.body.bytes);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, spans.length) }, work));
  return results;
}

const SPENT = new StoreError(
  'throttled',
  'too_many_reads',
  'this environment reads more contents from the store than it may',
);

/** Takes a request from the budget, unless there is none left. */
function isSpent(budgets: RequestBudgets | undefined, { environmentId }: Span): boolean {
  if (!budgets) return false;
  if (budgets.waitMs(environmentId) > 0) return true;
  budgets.spend(environmentId);
  return false;
}

async function readSpan(
  open: () => Promise<ObjectStore>,
  { key, at, end }: Span,
): Promise<Buffer | StoreError> {
  try {
    return await (await open()).get(key, { at, bytes: end - at });
  } catch (error) {
    if (error instanceof StoreError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return new StoreError('unavailable', 'cannot_open', reason);
  }
}

/** Which ranges are read for these bodies. */
export function spansOf(bodies: readonly LocatedBody[]): readonly Span[] {
  const places = bodies.map(({ row, body, objectId, packAt }, i) => ({
    i,
    environmentId: row.environment_id,
    key: objectKey(row.environment_id, objectId),
    at: packAt + body.at,
    end: packAt + body.at + body.bytes,
  }));
  places.sort((a, b) => (a.key === b.key ? a.at - b.at : a.key < b.key ? -1 : 1));
  const spans: Span[] = [];
  for (const { i, environmentId, key, at, end } of places) {
    const last = spans.at(-1);
    const isNear = last?.key === key && at - last.end <= GAP_BYTES;
    if (last && isNear && end - last.at <= MAX_READ_BYTES) {
      last.end = Math.max(last.end, end);
      last.of.push(i);
    } else spans.push({ environmentId, key, at, end, of: [i] });
  }
  return spans;
}
