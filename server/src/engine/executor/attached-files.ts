import type { Queryable } from '../../db/database.ts';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';

/** Bytes of attachments that are in memory at a time; one mail with more goes alone. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Lets mails with attachments through as long as there is memory for them, in the order in which they come. */
export class AttachmentGate {
  #bytes = 0;
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];

  /** Runs what needs so many bytes, once there is room. */
  async run<Result>(bytes: number, work: () => Promise<Result>): Promise<Result> {
    if (this.#waiting.length > 0 || !this.#hasRoom(bytes)) {
      await new Promise<void>((go) => this.#waiting.push({ bytes, go }));
    } else {
      this.#bytes += bytes;
    }
    try {
      return await work();
    } finally {
      this.#bytes -= bytes;
      for (
        let next = this.#waiting[0];
        next && this.#hasRoom(next.bytes);
        next = this.#waiting[0]
      ) {
        this.#waiting.shift();
        this.#bytes += next.bytes;
        next.go();
      }
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= MAX_BYTES;
  }
}

/** How many bytes the attachments of a message take on their way; 0: it has none. */
export function attachedBytes(content: JsonObject): number {
  return filesOf(content).reduce((sum, { size }) => sum + 2 * (Number(size) || 0), 0);
}

/**
 * The message's content with its files, which the run's data has. Undefined when they are no longer there as they were
 * when the message was made.
 */
export async function withAttachedFiles(
  db: Queryable,
  messageId: string,
  content: JsonObject,
): Promise<JsonObject | undefined> {
  const { attachments } = content;
  const path = isJsonObject(attachments) && Array.isArray(attachments.path) ? attachments.path : [];
  const [row] = await db.query<{ readonly files: Json }>(
    `
    select coalesce(m.trigger_data #> $2::text[], w.data #> $2::text[]) as files
    from message m
    join workflow_run w on w.id = m.workflow_run_id
    where m.id = $1`,
    [messageId, path],
  );
  const found: readonly Json[] = Array.isArray(row?.files) ? row.files : [row?.files ?? null];
  const wanted = filesOf(content);
  const files = wanted.flatMap((file, index) => {
    const one = found[index];
    if (!isJsonObject(one) || one.name !== file.name || typeof one.content !== 'string') return [];
    return [{ ...file, content: one.content }];
  });
  if (files.length < wanted.length) return undefined;
  return { ...content, attachments: files };
}

function filesOf({ attachments }: JsonObject): readonly JsonObject[] {
  if (!isJsonObject(attachments) || !Array.isArray(attachments.files)) return [];
  return attachments.files.filter(isJsonObject);
}
