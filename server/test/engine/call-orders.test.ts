import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HttpServer, serveHttp } from '../channels/support.ts';
import { createOrdersWorld, type OrdersWorld, type Place } from '../support/orders-world.ts';
import { waitFor } from '../support/wait.ts';

const RUNS = 1_200;

let world: OrdersWorld;
let slow: HttpServer;
let quick: HttpServer;
const asked: string[] = [];
const held: ServerResponse[] = [];
let isHanging = true;

beforeAll(async () => {
  world = await createOrdersWorld(1);
  slow = await serveHttp((request, response) => {
    asked.push(request.url ?? '');
    if (isHanging) held.push(response);
    else response.end('{}');
  });
  quick = await serveHttp((_request, response) => void response.end('{}'));
}, 60_000);
afterAll(async () => {
  await world.close();
  await slow.close();
  await quick.close();
});

function place(n: number): Place {
  const found = world.places[n];
  if (!found) throw new Error('no such account');
  return found;
}

test('an endpoint that hangs delays nobody else, and a hold stops the calls that did not begin, each made once', async () => {
  const runId = await world.trigger(place(0), 'fetch', RUNS, { data: { url: slow.url } });
  await waitFor('hanging calls', () => (asked.length >= 100 ? true : undefined), 20_000);

  const other = await world.trigger(place(1), 'fetch', 3, { data: { url: quick.url } });
  await world.done(other, 3);

  const hold = await world.give({ scope: { accountId: place(0).accountId } });
  isHanging = false;
  for (const response of held) response.end('{}');
  // Those that are answered are runs again, which the hold concerns too.
  await world.aside(hold, RUNS);
  expect(asked.length).toBeLessThan(RUNS);
  expect(await world.messages(runId)).toBe(0);

  await world.end(hold);
  await world.done(runId, RUNS);
  expect(asked).toHaveLength(RUNS);
  expect(new Set(asked).size).toBe(RUNS);
  await world.ledger();
}, 60_000);
