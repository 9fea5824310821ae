import type { Registry } from 'prom-client';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import type { Engine } from '../engine/engine.ts';
import type { Authentication } from './authentication.ts';

/** What the routes are built on. `main.ts` makes it; a test makes the parts that it needs. */
export type Services = Context & {
  readonly config: Config;
  readonly engine: Engine;
  readonly workflows: PublishedWorkflows;
  readonly authentication: Authentication;
  readonly metrics: Registry;
  readonly readiness: () => Readiness;
};

/** Which version of a workflow a trigger runs. Cached: the trigger asks once a request. */
export type PublishedWorkflows = {
  readonly published: (
    environmentId: number,
    key: string,
  ) => Promise<PublishedWorkflow | undefined>;
};

export type PublishedWorkflow = {
  readonly versionId: number;
  readonly active: boolean;
  readonly categories: readonly string[];
};

export type Readiness = {
  readonly ready: boolean;
  readonly parts: { readonly [name: string]: PartState };
};

export type PartState = {
  readonly state: 'up' | 'starting' | 'down' | 'draining';
  /** What is wrong and what to do, when it is not up. */
  readonly reason?: string;
};
