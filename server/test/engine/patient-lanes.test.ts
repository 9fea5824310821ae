import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Appender,
  type AppenderOptions,
  openAppender,
} from '../../src/engine/log/appender.ts';
import { environmentOfLane } from '../../src/engine/log/chunk.ts';
import { movableClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { triggerRequest, users } from '../support/triggers.ts';

const MINUTE_MS = 60_000;

let test: TestDatabase;
const appenders: Appender[] = [];

beforeAll(async () => {
  test = await createTestDatabase({ max: 4 });
});
beforeEach(() => test.db.query('truncate chunk, receipt'));
afterAll(async () => {
  for (const appender of appenders.splice(0)) await appender.close();
  await test.drop();
});

async function openPatient(
  options: Pick<AppenderOptions, 'isPatient' | 'patienceMs'>,
): Promise<Appender> {
  const appender = await openAppender({
    url: test.url,
    clock: movableClock(Date.UTC(2026, 2, 10, 12)),
    log: silentLog,
    isCrowded: () => false,
    onAppended: () => undefined,
    ...options,
  });
  appenders.push(appender);
  return appender;
}

async function storedRuns(): Promise<number> {
  const [row] = await test.db.query<{ runs: number }>(
    'select coalesce(sum(run_count), 0)::int as runs from chunk',
  );
  return row?.runs ?? 0;
}

/** So many that an appender would have sent what it has. */
async function someTurns(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a trigger of a patient lane', () => {
  it('shares the commit of somebody else', async () => {
    const appender = await openPatient({
      isPatient: (laneId) => environmentOfLane(laneId) === 1,
      patienceMs: MINUTE_MS,
    });
    const patient = Array.from({ length: 5 }, (_, i) =>
      appender.append(triggerRequest({ environmentId: 1, recipients: users(1, `patient-${i}`) })),
    );
    await someTurns();
    expect(appender.stats()).toMatchObject({ commits: 0, pending: 5 });
    await appender.append(triggerRequest({ environmentId: 2, recipients: users(1, 'hurried') }));
    await Promise.all(patient);
    expect(appender.stats().commits).toBe(1);
  });

  it('is committed when nobody else comes', async () => {
    const appender = await openPatient({ isPatient: () => true });
    for (let i = 0; i < 3; i++) {
      await appender.append(triggerRequest({ recipients: users(1, `alone-${i}`) }));
    }
    expect(await storedRuns()).toBe(3);
  });

  it('is committed when the server stops', async () => {
    const appender = await openPatient({ isPatient: () => true, patienceMs: MINUTE_MS });
    const last = appender.append(triggerRequest({ recipients: users(1, 'last') }));
    await someTurns();
    await appender.close();
    await last;
    expect(await storedRuns()).toBe(1);
  });
});
