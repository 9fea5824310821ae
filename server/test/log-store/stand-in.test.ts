import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LogStoreStandIn, startLogStore } from '../../src/drill/stand-ins/log-store.ts';
import { createClickHouseSink } from '../../src/log-store/clickhouse/clickhouse-sink.ts';
import { clickHouseTables } from '../../src/log-store/clickhouse/schema.ts';
import type { LogSink } from '../../src/log-store/log-store.ts';
import { line } from './written.ts';

let standIn: LogStoreStandIn;
let sink: LogSink;

beforeAll(async () => {
  standIn = await startLogStore({
    ...{ user: 'belfry', password: 'p:w/d', database: 'logs', version: '25.8.1.1' },
    ...{ nowMs: Date.now, random: Math.random },
  });
  sink = await createClickHouseSink({
    url: standIn.url.replace('://', `://belfry:${encodeURIComponent('p:w/d')}@`).concat('/logs'),
    retention: { logs: 90, apiLogs: undefined },
    randomId: randomUUID,
  });
});

afterAll(async () => {
  await sink.close();
  await standIn.close();
});

test('what ships to ClickHouse ships to the stand-in: it keeps its name, counts once and knows what it has', async () => {
  const id = await sink.migrate();
  expect(id).toMatch(/^[0-9a-f-]{36}$/);
  expect(await sink.migrate()).toBe(id);

  const ids = Array.from({ length: 50 }, () => randomUUID());
  const lines = Buffer.concat(
    ids.map((event) =>
      line(clickHouseTables.message_event.columns.map((name) => (name === 'id' ? event : 1))),
    ),
  );
  await sink.insert({ source: 'message_event', lines, rows: ids.length }, 'token');
  await sink.insert({ source: 'message_event', lines, rows: ids.length }, 'token');
  const other = randomUUID();
  expect((await sink.eventsAmong([...ids, other])).toSorted()).toEqual(ids.toSorted());
  expect(standIn.missing('event', [...ids, other])).toBe(1);
  expect(standIn.tables().event).toMatchObject({ rows: 50, distinct: 50, repeatedInserts: 1 });
  await sink.forget([
    { environmentId: 1, collection: '$users', recipientId: "o'neill", before: other },
  ]);
});
