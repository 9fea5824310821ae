import type { EnvironmentContext } from '../context.ts';
import { type Broadcast, getBroadcast } from './broadcast.ts';
import { outcomesOf } from './outcomes.ts';
import { pagesFrom, partsAfter } from './part.ts';

const PARTS = 10;

/** Somebody whom a broadcast was sent to. */
export type BroadcastRecipient = {
  readonly recipient: string;
  readonly tenant: string | null;
  /** Null while the run waits for its turn, when it was discarded, and when retention has dropped it. */
  readonly recipient_run_id: string | null;
  readonly status: string | null;
  readonly failed: boolean;
};

/**
 * Everybody whom the broadcast was sent to, some thousand at a time, in the order of sending. The list is final when
 * the broadcast is finished or cancelled.
 */
export async function* broadcastRecipients(
  ctx: EnvironmentContext,
  broadcast: Broadcast,
): AsyncGenerator<readonly BroadcastRecipient[]> {
  let after = { page: 0, first: -1 };
  for (;;) {
    const parts = await partsAfter(ctx.db, broadcast.id, after, PARTS);
    const last = parts.at(-1);
    if (!last) break;
    const pages = await pagesFrom(ctx.db, broadcast.id, parts[0]?.page ?? 0, PARTS);
    const outcomes = await outcomesOf(ctx.db, parts);
    yield parts.flatMap((part, i) => {
      const page = pages.find(({ page: number }) => number === part.page);
      const known = new Map((outcomes[i] ?? []).map((outcome) => [outcome.index, outcome]));
      return (page?.recipients.slice(part.first, part.first + part.size) ?? []).map(
        (recipient, index) => ({
          recipient,
          tenant: broadcast.tenant ?? (page?.tenants?.[part.first + index] || null),
          recipient_run_id: known.get(index)?.runId ?? null,
          status: known.get(index)?.status ?? null,
          failed: known.get(index)?.failed ?? false,
        }),
      );
    });
    if (parts.length < PARTS) break;
    after = last;
  }
  // Forgotten meanwhile: then some may have been missing, and half a list must not look like all of it.
  await getBroadcast(ctx, { id: broadcast.public_id });
}
