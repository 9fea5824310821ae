import { type AddressInfo, connect } from 'node:net';
import fastify from 'fastify';
import { expect, test } from 'vitest';
import type { App } from '../../src/api/route.ts';
import { cutOffSlowReaders } from '../../src/api/slow-readers.ts';
import { waitFor } from '../support/wait.ts';

test('a client that does not read its answer is cut off, and one that waits for a slow one is not', async () => {
  const app = fastify() as unknown as App;
  cutOffSlowReaders(app, 50);
  const ended: boolean[] = [];
  app.get('/large', (_request, reply) => {
    reply.raw.once('close', () => ended.push(reply.raw.writableFinished));
    reply.send(Buffer.alloc(64 * 1024 * 1024));
  });
  let answer: (() => void) | undefined;
  app.get('/slow', (_request, reply) => {
    answer = () => reply.send('done');
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;

  const slow = fetch(`http://127.0.0.1:${port}/slow`);
  await waitFor('the slow request', () => answer);
  const reader = connect(port, '127.0.0.1');
  reader.on('error', () => undefined);
  reader.pause();
  reader.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n');
  await waitFor('the cut', () => (ended.length > 0 ? true : undefined));
  expect(ended).toEqual([false]);
  answer?.();
  expect(await (await slow).text()).toBe('done');
  reader.destroy();
  await app.close();
});
