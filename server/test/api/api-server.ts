import { Registry } from 'prom-client';
import { type Credentials, createAccount } from '../../src/accounts/create-account.ts';
import { findEnvironment } from '../../src/accounts/environments.ts';
import { insertOperatorToken } from '../../src/accounts/insert-key.ts';
import { generateKey, keyPrefixes } from '../../src/accounts/key.ts';
import { buildApp } from '../../src/api/app.ts';
import { createAuthentication } from '../../src/api/authentication.ts';
import type { App } from '../../src/api/route.ts';
import type { Services } from '../../src/api/services.ts';
import type { Recorder } from '../../src/api-logs/recorder.ts';
import { createBudgets } from '../../src/budgets/budgets.ts';
import { type Config, readConfig } from '../../src/config.ts';
import type { Context, Environment, EnvironmentContext } from '../../src/context.ts';
import { createEnvironmentsInUse } from '../../src/control/environments-in-use.ts';
import { createHideSecrets } from '../../src/control/hide-secrets.ts';
import { createPublicVars } from '../../src/control/public-vars.ts';
import { createPublishedWorkflows } from '../../src/control/published-workflows.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { createLinkTokens } from '../../src/feed/link-tokens.ts';
import { createCatalogs } from '../../src/guides/catalog.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createTraffic } from '../../src/ops/traffic.ts';
import { createSubscriberTokens } from '../../src/recipients/subscriber-tokens.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { testQuarantine } from '../support/quarantine.ts';
import { testSecrets } from '../support/secrets.ts';

export type TestApi = {
  readonly app: App;
  readonly ctx: Context;
  readonly databaseUrl: string;
  readonly services: Services;
  readonly operatorToken: string;
  /** An account of its own, with two environments. */
  readonly account: () => Promise<TestAccount>;
  readonly call: (method: Method, url: string, options?: CallOptions) => Promise<Answer>;
  readonly close: () => Promise<void>;
};

export type TestAccount = Credentials & {
  readonly secretKey: string;
  readonly publicKey: string;
  readonly channels: { readonly [key: string]: string };
  readonly development: Environment;
  readonly environment: EnvironmentContext;
};

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'HEAD';

type CallOptions = {
  readonly key?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is, as JSON. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

type Answer = {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever came
  readonly body: any;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
};

/** The HTTP side on a database of its own, called without a port. */
export async function startTestApi(
  options: {
    readonly engine?: (
      ctx: Context,
      databaseUrl: string,
    ) => Promise<Engine & { readonly close?: () => Promise<void> }>;
    readonly config?: Partial<Config>;
    readonly budgets?: Partial<Parameters<typeof createBudgets>[0]>;
    readonly recorder?: (ctx: Context) => Recorder;
  } = {},
): Promise<TestApi> {
  const database = await createTestDatabase({ max: 10 });
  const ctx: Context = { db: database.db, clock: systemClock, log: silentLog };
  const workflows = createPublishedWorkflows(database.db);
  const engine: Engine & { readonly close?: () => Promise<void> } = options.engine
    ? await options.engine(ctx, database.url)
    : { trigger: noEngine, cancel: noEngine };
  const budgets = createBudgets({
    clock: systemClock,
    db: database.db,
    connections: 8,
    pressure: () => 0,
    ...options.budgets,
  });
  const traffic = createTraffic(ctx);
  const recorder = options.recorder?.(ctx);
  const services: Services = {
    ...ctx,
    config: { ...readConfig({}), ...options.config },
    engine,
    workflows,
    publicVars: createPublicVars(),
    guides: createCatalogs(createEnvironmentsInUse(ctx)),
    secrets: testSecrets,
    hideSecrets: createHideSecrets(testSecrets),
    authentication: createAuthentication(ctx),
    unsubscribeTokens: createSubscriberTokens('a secret of tests', 'unsubscribe'),
    preferenceTokens: createSubscriberTokens('a secret of tests', 'preferences'),
    linkTokens: createLinkTokens('a secret of tests'),
    traffic,
    recorder,
    quarantine: testQuarantine(ctx, { traffic }),
    budgets,
    metrics: new Registry(),
    readiness: () => ({ ready: true, parts: { database: { state: 'up' } } }),
  };
  const app = buildApp(services);
  const operatorToken = generateKey(keyPrefixes.operator);
  await insertOperatorToken(ctx.db, 'test', operatorToken);
  let accounts = 0;
  return {
    app,
    ctx,
    databaseUrl: database.url,
    services,
    operatorToken,
    account: async () => {
      accounts += 1;
      return openAccount(ctx, await createAccount(ctx, { name: `account-${accounts}` }));
    },
    call: (method, url, callOptions) => call(app, method, url, callOptions),
    close: async () => {
      await app.close();
      await engine.close?.();
      workflows.close();
      budgets.close();
      await recorder?.close();
      await database.drop();
    },
  };
}

async function noEngine(): Promise<never> {
  throw new Error('this server has no engine');
}

async function openAccount(ctx: Context, credentials: Credentials): Promise<TestAccount> {
  const keys = credentials.environments.development;
  if (!keys) throw new Error('no development environment');
  const development = await findEnvironment(ctx.db, `${credentials.account}/development`);
  return {
    ...credentials,
    secretKey: keys.secret_key,
    publicKey: keys.public_key,
    channels: keys.channels,
    development,
    environment: { ...ctx, environment: development },
  };
}

async function call(
  app: App,
  method: Method,
  url: string,
  { key, body, text, headers }: CallOptions = {},
): Promise<Answer> {
  const payload = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await app.inject({
    method,
    url,
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(payload === undefined ? {} : { payload }),
  });
  const isJson = String(response.headers['content-type']).startsWith('application/json');
  return {
    status: response.statusCode,
    body: isJson && response.body !== '' ? JSON.parse(response.body) : undefined,
    text: response.body,
    headers: response.headers as Answer['headers'],
  };
}
