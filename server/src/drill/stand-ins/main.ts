/** A stand-in for a store in a process of its own, which `startStandIn` directs. It ends with its parent. */
import { seededRandom } from '../random.ts';
import { wallClockMs } from '../wall-clock.ts';
import { type LogStoreStandIn, startLogStore } from './log-store.ts';
import { type MailSink, startMailSink } from './mail-sink.ts';
import { type ObjectStoreStandIn, startObjectStore } from './object-store.ts';
import type { FromStandIn, StandInAnswer, StandInRequest, ToStandIn } from './protocol.ts';

const SEED = 6;

const common = { nowMs: wallClockMs, random: seededRandom(SEED) };
let objectStore: ObjectStoreStandIn | undefined;
let logStore: LogStoreStandIn | undefined;
let mailSink: MailSink | undefined;

process.on('message', ({ number, request }: ToStandIn) => {
  handle(request)
    .catch((error: unknown): StandInAnswer => ({ type: 'failed', reason: String(error) }))
    .then((answer) => process.send?.({ number, answer } satisfies FromStandIn));
});
process.on('disconnect', () => process.exit(0));

async function handle(request: StandInRequest): Promise<StandInAnswer> {
  switch (request.type) {
    case 'object-store':
      objectStore = await startObjectStore({ ...request.options, ...common });
      return { type: 'open', url: objectStore.url };
    case 'log-store':
      logStore = await startLogStore({ ...request.options, ...common });
      return { type: 'open', url: logStore.url };
    case 'mail-sink':
      mailSink = await startMailSink(common);
      return { type: 'open', url: mailSink.url };
    case 'faults':
      (objectStore ?? logStore)?.setFaults(request.faults);
      return { type: 'done' };
    case 'counters': {
      const counters = (objectStore ?? logStore)?.counters();
      if (!counters) throw new Error('a stand-in is opened before it is asked');
      return { type: 'counters', counters };
    }
    case 'tables':
      return { type: 'tables', tables: logStore?.tables() ?? {} };
    case 'missing':
      return {
        type: 'missing',
        missing: logStore?.missing(request.table, request.ids) ?? request.ids.length,
      };
    case 'arrivals':
      return { type: 'arrivals', arrivals: mailSink?.arrivals() ?? [] };
  }
}
