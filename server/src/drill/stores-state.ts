import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { Stage } from './stage.ts';
import { rounded } from './statistics.ts';
import { poll, waitMs, wallClockMs } from './wall-clock.ts';

const LOOK_EVERY_MS = 500;
/** The report is a second old at the most, and so is what one store has not heard of yet. */
const REPORTED_MS = 3_000;

/** What waits for the stores, in one line. */
export async function storesState(stage: Stage): Promise<string> {
  const { object_store: objects, log_store: logs } = await storesReport(stage);
  const parts: string[] = [];
  if (isJsonObject(objects)) {
    const { packs } = backlogOf(objects);
    parts.push(
      `object store ${String(objects.state)}, ${megabytesOf(backlogOf(objects))} MB in ${String(packs)} packs wait`,
    );
  }
  if (isJsonObject(logs)) {
    const asOf = await logsAsOf(stage);
    const age =
      asOf === undefined
        ? 'nothing shipped'
        : `${rounded((wallClockMs() - asOf) / 1_000)} s behind`;
    parts.push(`log store ${String(logs.state)}, ${age}`);
  }
  return parts.length === 0 ? '' : `belfry stores: ${parts.join('; ')}`;
}

/** Resolves when nothing waits for the object store; false when that takes too long. */
export async function objectStoreDrained(stage: Stage): Promise<boolean> {
  return await settled(stage, ({ object_store: store }) =>
    isJsonObject(store) ? Number(backlogOf(store).packs) === 0 : false,
  );
}

/** Resolves when the log store has everything of before this time; false when that takes too long. */
export async function logStoreHas(stage: Stage, beforeMs: number): Promise<boolean> {
  const found = await poll(
    async () => {
      const asOf = await logsAsOf(stage);
      return asOf !== undefined && asOf >= beforeMs ? true : undefined;
    },
    { everyMs: LOOK_EVERY_MS, timeoutMs: stage.plan.drainSeconds * 1_000 },
  );
  return found === true;
}

/** The time before which nothing is missing in the log store, in ms since 1970. */
async function logsAsOf({ server }: Stage): Promise<number | undefined> {
  const [row] = await server.db.query<{ readonly at: Date | null }>(
    `select least(
       s.shipped_at,
       (select min(at) from log_aside),
       (select min(from_at) from log_gap)
     ) as at
     from log_shipper s`,
  );
  return row?.at?.getTime();
}

async function settled(stage: Stage, isSettled: (report: JsonObject) => boolean): Promise<boolean> {
  // What was made just now is in no report yet.
  await waitMs(REPORTED_MS);
  const found = await poll(async () => (isSettled(await storesReport(stage)) ? true : undefined), {
    everyMs: LOOK_EVERY_MS,
    timeoutMs: stage.plan.drainSeconds * 1_000,
  });
  return found === true;
}

async function storesReport(stage: Stage): Promise<JsonObject> {
  const { body } = await stage.operator.get('/ops/v1/stores');
  return body;
}

function backlogOf(store: JsonObject): JsonObject {
  return isJsonObject(store.backlog) ? store.backlog : {};
}

function megabytesOf({ bytes }: JsonObject): string {
  return (Number(bytes) / 1e6).toFixed(1);
}
