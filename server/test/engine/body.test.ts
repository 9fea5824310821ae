import { expect, test } from 'vitest';
import { parseRunsBody, runsBodyText } from '../../src/engine/log/body.ts';
import type { ChunkRun, ChunkTrigger } from '../../src/engine/log/chunk.ts';
import { triggerText } from '../../src/engine/log/layout.ts';
import type { JsonObject } from '../../src/lib/json.ts';

const trigger = (tenant: string, data: JsonObject): ChunkTrigger => ({
  ...{ id: `run-${tenant}`, key: 'news', version: 1, actor: null, tenant, data },
  ...{ cancel: null, settings: {}, at: 5 },
});
const runs: readonly ChunkRun[] = [
  [0, 'ada'],
  [1, 'bo', { segment: 1 }],
];

test('data that triggers share is stored once and read by each of them', () => {
  const shared = { text: 'shared text' };
  const triggers = [
    trigger('a', shared),
    trigger('b', { text: 'its own' }),
    trigger('c', shared),
    trigger('d', shared),
  ];
  const text = runsBodyText(triggers, runs);
  expect(text.split('shared text')).toHaveLength(2);
  expect(parseRunsBody(text)).toEqual({ triggers, runs });
});

test('what was read is stored once again, also when the trigger that came with it is not there any more', () => {
  const triggers = [trigger('a', { text: 'shared text' })];
  triggers.push({ ...trigger('b', {}), data: triggers[0]?.data ?? {} });
  triggers.push({ ...trigger('c', {}), data: triggers[0]?.data ?? {} });
  const read = parseRunsBody(runsBodyText(triggers, runs));
  const later = runsBodyText(read.triggers.slice(1), []);
  expect(later.split('shared text')).toHaveLength(2);
  expect(parseRunsBody(later).triggers).toEqual(triggers.slice(1));
});

test('a trigger that is laid out as text with the data of another one is read with it', () => {
  const request = {
    ...{ environmentId: 1, workflowKey: 'news', versionId: 1, actor: null, data: {} },
    ...{ cancellationKey: null, settings: {} },
  };
  const first = triggerText({ ...request, tenant: 'a' }, '{"n":1}', 'run-a', 5);
  const second = triggerText({ ...request, tenant: 'b' }, 0, 'run-b', 5);
  expect(parseRunsBody(`{"triggers":[${first},${second}],"runs":[]}`).triggers).toEqual([
    trigger('a', { n: 1 }),
    trigger('b', { n: 1 }),
  ]);
});
