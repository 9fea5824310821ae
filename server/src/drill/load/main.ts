/** A load generator in a process of its own, which `startLoad` directs. */
import { wallClockMs } from '../wall-clock.ts';
import { watchFeed } from './feed-socket.ts';
import type { FromLoad, LoadOptions, ToLoad } from './protocol.ts';
import { createRecord } from './record.ts';
import { createSender, type Sample, type Sender } from './sender.ts';

const JOINS_AT_ONCE = 20;

const record = createRecord();
let sender: Sender | undefined;

process.on('message', (message: ToLoad) => {
  handle(message).then(
    (answer) => answer && tell(answer),
    (error: unknown) => tell({ type: 'failed', reason: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));

function tell(answer: FromLoad): void {
  process.send?.(answer);
}

async function handle(message: ToLoad): Promise<FromLoad | undefined> {
  switch (message.type) {
    case 'open':
      sender = await openSender(message.options);
      return { type: 'done' };
    case 'run':
      if (!sender) throw new Error('a load generator is opened before it runs');
      return { type: 'ran', summary: await sender.run(message.phase) };
    case 'stop':
      // The phase that ends now is answered.
      sender?.stop();
      return undefined;
    case 'end record':
      await record.end();
      return { type: 'done' };
  }
}

async function openSender(options: LoadOptions): Promise<Sender> {
  /** By caller: sent and not yet delivered, oldest first, and how many were delivered. */
  const feeds = options.callers.map(() => ({ waiting: [] as Sample[], delivered: 0 }));
  const heard = (position: number, totalCount: number): void => {
    const nowMs = wallClockMs();
    const feed = feeds[position];
    while (feed && feed.delivered < totalCount) {
      const sample = feed.waiting.shift();
      if (!sample) return;
      sample.deliveredMs = nowMs;
      feed.delivered += 1;
      if (sample.answeredMs !== null) record.close(sample);
    }
  };
  const watches = options.careful && options.feeds !== false;
  if (watches) {
    let next = 0;
    const join = async (): Promise<void> => {
      while (next < options.callers.length) {
        const position = next++;
        const caller = options.callers[position];
        if (caller) await watchFeed(options.url, caller, (count) => heard(position, count));
      }
    };
    await Promise.all(Array.from({ length: JOINS_AT_ONCE }, join));
  }
  return createSender(options, {
    sending: (sample) => {
      record.open(sample);
      if (watches) feeds[sample.caller]?.waiting.push(sample);
    },
    accepted: (sample) => {
      if (!watches || sample.deliveredMs !== null) record.close(sample);
    },
    givenUp: (sample) => {
      record.close(sample);
      const waiting = feeds[sample.caller]?.waiting ?? [];
      const position = waiting.indexOf(sample);
      if (position >= 0) waiting.splice(position, 1);
    },
  });
}
