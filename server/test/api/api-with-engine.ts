import { randomBytes } from 'node:crypto';
import { type RunningEngine, startEngine } from '../../src/engine/start.ts';
import { silentLog } from '../support/log.ts';
import { startTestApi, type TestApi } from './api-server.ts';

/** The HTTP side with the real engine: what is triggered runs. */
export async function startApiWithEngine(): Promise<TestApi> {
  let engine: RunningEngine | undefined;
  const api = await startTestApi({
    engine: async (ctx, databaseUrl) => {
      engine = await startEngine({
        databaseUrl,
        db: ctx.db,
        clock: ctx.clock,
        log: silentLog,
        executors: 1,
        executor: {
          smtpUrl: undefined,
          mailFrom: 'test@example.com',
          allowPrivateWebhooks: false,
          installationSecret: randomBytes(32).toString('hex'),
          logLevel: 'error',
        },
        onFeeds: () => {},
        onStandby: () => {},
        signal: new AbortController().signal,
      });
      return engine;
    },
  });
  return {
    ...api,
    close: async () => {
      await engine?.stop();
      await api.close();
    },
  };
}
