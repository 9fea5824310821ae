/** A load generator in a process of its own, which `startLoad` directs. */
import { open } from 'node:fs/promises';
import { wallClockMs } from '../wall-clock.ts';
import { watchFeed } from './feed-socket.ts';
import type { FromLoad, LoadOptions, ToLoad } from './protocol.ts';
import { createSender, type Sample, type Sender, sampleRow } from './sender.ts';

const JOINS_AT_ONCE = 20;
const ROWS_PER_WRITE = 5_000;

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
    case 'save':
      await save(message.path, sender?.samples ?? []);
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
      if (watches) feeds[sample.caller]?.waiting.push(sample);
    },
    givenUp: (sample) => {
      const waiting = feeds[sample.caller]?.waiting ?? [];
      const position = waiting.indexOf(sample);
      if (position >= 0) waiting.splice(position, 1);
    },
  });
}

async function save(path: string, samples: readonly Sample[]): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let start = 0; start < samples.length; start += ROWS_PER_WRITE) {
      const rows = samples.slice(start, start + ROWS_PER_WRITE);
      await file.write(rows.map((sample) => `${JSON.stringify(sampleRow(sample))}\n`).join(''));
    }
  } finally {
    await file.close();
  }
}
