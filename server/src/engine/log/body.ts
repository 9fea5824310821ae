import type { JsonObject } from '../../lib/json.ts';
import type { ChunkRun, ChunkTrigger, DeliveriesBody, RunsBody } from './chunk.ts';

/** Data that triggers of a chunk share is written once, with the first of them: the others name its number. */
type StoredTrigger = ChunkTrigger | (Omit<ChunkTrigger, 'data'> & { readonly dataOf: number });

/** The body of a chunk of runs. Triggers whose `data` is the same object share it. */
export function runsBodyText(triggers: readonly ChunkTrigger[], runs: readonly ChunkRun[]): string {
  const owners = new Map<JsonObject, number>();
  const stored = triggers.map((trigger, number): StoredTrigger => {
    const owner = owners.get(trigger.data);
    if (owner === undefined) {
      owners.set(trigger.data, number);
      return trigger;
    }
    const { data: _, ...rest } = trigger;
    return { ...rest, dataOf: owner };
  });
  return JSON.stringify({ triggers: stored, runs });
}

/** What `runsBodyText` wrote. Triggers that share data have the same object. */
export function parseRunsBody(text: string): RunsBody {
  const stored = JSON.parse(text) as {
    readonly triggers: readonly StoredTrigger[];
    readonly runs: readonly ChunkRun[];
    readonly operation?: string;
  };
  return {
    ...(stored.operation === undefined ? {} : { operation: stored.operation }),
    runs: stored.runs,
    triggers: stored.triggers.map((trigger) => {
      if (!('dataOf' in trigger)) return trigger;
      const { dataOf, ...rest } = trigger;
      const owner = stored.triggers[dataOf];
      if (!owner || !('data' in owner)) throw new Error(`a trigger has the data of ${dataOf}`);
      return { ...rest, data: owner.data };
    }),
  };
}

/** The body of a chunk of deliveries. */
export function parseDeliveriesBody(text: string): DeliveriesBody {
  return JSON.parse(text) as DeliveriesBody;
}
