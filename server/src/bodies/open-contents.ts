import { BelfryError } from '../lib/errors.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import type { BodyReader, ContentRow } from './read-bodies.ts';

const RETRY_AFTER_MS = 5_000;

/**
 * The rows with what their messages say. Throws `message_content_unavailable` or `message_content_damaged`; without a reader
 * rows stay as they are.
 */
export async function openContents<Row extends ContentRow>(
  bodies: BodyReader | undefined,
  rows: readonly Row[],
): Promise<readonly Row[]> {
  if (!bodies) return rows;
  const read = await bodies.read(rows);
  return rows.map((row) => {
    const body = read.get(row.id);
    if (!body) return row;
    if ('content' in body) return { ...row, content: body.content };
    const { kind, reason } = body.unreadable;
    const what = `What message ${ksuidFromUuid(row.id)} says cannot be read: ${reason}`;
    if (kind === 'damaged') throw new BelfryError('message_content_damaged', what);
    throw new BelfryError('message_content_unavailable', `${what}; try again later`, {
      retryAfterMs: RETRY_AFTER_MS,
    });
  });
}
