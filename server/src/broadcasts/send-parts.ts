import { plainArray } from '../db/array-literal.ts';
import type { BulkStream } from '../engine/bulk-stream.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Broadcast } from './broadcast.ts';
import { type Page, type Part, pagesFrom } from './part.ts';
import type { Track } from './track.ts';

const LOOK_AHEAD_RECIPIENTS = 20_000;
const LOOK_AHEAD_PARTS = 100;
const STATEMENT_PARTS = 10;
/** Of data: it is in the chunk once, but each tenant of a part has a workflow run, which is stored with it. */
const PART_CHARACTERS = 4 * 1024 * 1024;
const PAGES = 10;

type Range = { readonly page: number; readonly first: number; readonly size: number };

/**
 * Appends the next parts, as many as look-ahead, canary and rate let through. True: as many as one statement
 * carries, so that there may be room for more.
 */
export async function sendParts(
  stream: BulkStream,
  broadcast: Broadcast,
  track: Track,
  around: { readonly nowMs: number; readonly parts: number },
): Promise<boolean> {
  const { session } = stream;
  track.pages = track.pages.filter(({ page }) => page >= track.next.page);
  if (track.pages.length === 0) {
    track.pages = await pagesFrom(session, broadcast.id, track.next.page, PAGES);
  }
  const ranges = planParts(broadcast, track, around);
  const [first] = ranges;
  if (!first) return false;
  const chunks = ranges.map((range) => ({
    trigger: {
      environmentId: broadcast.environment_id,
      workflowKey: broadcast.workflow_key,
      versionId: track.sending.version_id,
      actor: track.sending.actor,
      data: track.sending.data,
      cancellationKey: null,
      settings: track.sending.settings,
      ...(track.sending.api_key_id === null ? {} : { apiKeyId: track.sending.api_key_id }),
    },
    dataText: track.dataText,
    runs: runsOf(track.pages, range, broadcast.tenant),
  }));
  faultPoint('broadcast.before-part');
  const places = await stream.append(chunks, {
    name: 'append_broadcast_parts',
    appended: () => faultPoint('broadcast.after-part'),
    sql: claimSql,
    values: (placed) => [
      broadcast.id,
      broadcast.state,
      plainArray(ranges.map(({ page }) => page)),
      plainArray(ranges.map((range) => range.first)),
      plainArray(ranges.map(({ size }) => size)),
      plainArray(placed.map(({ slot }) => slot)),
      plainArray(placed.map(({ stream: number }) => number)),
      plainArray(placed.map(({ sequence }) => sequence)),
      new Date(placed[0]?.acceptedMs ?? 0).toISOString(),
    ],
  });
  if (!places) return false;
  const parts = places.map((place, i): Part => ({ ...(ranges[i] ?? first), ...place }));
  track.outstanding.push(...parts);
  track.next = endOf(parts.at(-1) ?? first, track.pages);
  for (const { size } of parts) {
    track.sent += size;
    track.pace.spend(size);
  }
  return parts.length === STATEMENT_PARTS;
}

/** Ranges from the end of the chain on; each lies in one page. */
function planParts(
  broadcast: Broadcast,
  track: Track,
  around: { readonly nowMs: number; readonly parts: number },
): Range[] {
  const limit =
    broadcast.state === 'canary' ? (broadcast.canary_size ?? 0) : (broadcast.total ?? 0);
  const inLog = track.outstanding.reduce((sum, { size }) => sum + size, 0);
  let recipients = Math.min(limit - track.sent, LOOK_AHEAD_RECIPIENTS - inLog);
  const most = Math.min(around.parts, LOOK_AHEAD_PARTS - track.outstanding.length, STATEMENT_PARTS);
  const triggers = Math.max(1, Math.floor(PART_CHARACTERS / Math.max(1, track.dataText.length)));
  const ranges: Range[] = [];
  let { page, first } = track.next;
  let planned = 0;
  while (ranges.length < most && recipients > 0) {
    const from = track.pages.find((read) => read.page === page);
    const allowed = track.pace.next(broadcast.rate, around.nowMs, planned);
    if (from === undefined || allowed === 0) break;
    const pageSize = from.recipients.length;
    const wanted = Math.min(pageSize - first, recipients, allowed);
    const tenants = broadcast.tenant === null ? from.tenants : null;
    const size = withinTriggers(tenants, first, wanted, triggers);
    ranges.push({ page, first, size });
    recipients -= size;
    planned += size;
    ({ page, first } =
      first + size < pageSize ? { page, first: first + size } : { page: page + 1, first: 0 });
  }
  return ranges;
}

/** As many recipients, of those wanted, as so many triggers are enough for: each tenant needs one. */
function withinTriggers(
  tenants: readonly string[] | null,
  first: number,
  wanted: number,
  triggers: number,
): number {
  if (tenants === null) return wanted;
  const seen = new Set<string>();
  for (let size = 0; size < wanted; size++) {
    const tenant = tenants[first + size] ?? '';
    if (seen.size === triggers && !seen.has(tenant)) return size;
    seen.add(tenant);
  }
  return wanted;
}

function endOf(part: Range, pages: readonly Page[]): Track['next'] {
  const end = part.first + part.size;
  const pageSize = pages.find(({ page }) => page === part.page)?.recipients.length ?? end;
  return end < pageSize ? { page: part.page, first: end } : { page: part.page + 1, first: 0 };
}

function runsOf(pages: readonly Page[], range: Range, tenant: string | null) {
  const page = pages.find((read) => read.page === range.page);
  const { first, size } = range;
  return (page?.recipients.slice(first, first + size) ?? []).map((userId, i) => ({
    userId,
    tenant: tenant ?? (page?.tenants?.[first + i] || null),
  }));
}

/**
 * The parts' rows, if the broadcast is still in its state. Their primary key makes a second append of the same
 * range fail; the lock makes pause and cancel come before or after, never in between.
 */
function claimSql(first: number): string {
  const p = (offset: number): string => `$${first + offset}`;
  return `claim as (
    select id
    from broadcast
    where id = ${p(0)}
      and state = ${p(1)}
    for share
  ), parts as (
    insert into broadcast_part (broadcast_id, page, first, size, slot, stream, sequence, accepted_at)
    select claim.id, p.page, p.first, p.size, p.slot, p.stream, p.sequence, ${p(8)}::timestamptz
    from claim, unnest(${p(2)}::int[], ${p(3)}::smallint[], ${p(4)}::smallint[], ${p(5)}::smallint[],
                       ${p(6)}::smallint[], ${p(7)}::bigint[])
      as p(page, first, size, slot, stream, sequence)
  )`;
}
