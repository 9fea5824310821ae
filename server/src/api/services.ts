import type { Registry } from 'prom-client';
import type { Recorder } from '../api-logs/recorder.ts';
import type { BodyReader } from '../bodies/read-bodies.ts';
import type { Feeder } from '../broadcasts/feeder.ts';
import type { Budgets } from '../budgets/budgets.ts';
import type { DiskRoom } from '../budgets/disk-room.ts';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import type { HideSecrets } from '../control/hide-secrets.ts';
import type { PublicVars } from '../control/public-vars.ts';
import type { PublishedWorkflows } from '../control/published-workflows.ts';
import type { Engine } from '../engine/engine.ts';
import type { LinkTokens } from '../feed/link-tokens.ts';
import type { Catalogs } from '../guides/catalog.ts';
import type { GuideHub } from '../guides/guide-hub.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { LogSearch } from '../log-store/log-search.ts';
import type { Canary } from '../ops/canary.ts';
import type { Quarantine } from '../ops/quarantine.ts';
import type { TrafficCounters } from '../ops/traffic.ts';
import type { SubscriberTokens } from '../recipients/subscriber-tokens.ts';
import type { ScheduleClock } from '../schedules/schedule-clock.ts';
import type { RunningSender } from '../webhooks/start-sender.ts';
import type { Authentication } from './authentication.ts';
import type { StoresReport } from './store-status.ts';

/** What the routes are built on. `main.ts` makes it; a test makes the parts that it needs. */
export type Services = Context & {
  readonly config: Config;
  readonly engine: Engine;
  /** Which version of a workflow a trigger runs. Cached: the trigger asks once a request. */
  readonly workflows: PublishedWorkflows;
  /** What feeds answer as `vars`. */
  readonly publicVars: PublicVars;
  /** The guides of environments, as users are told of them. */
  readonly guides: Catalogs;
  /** Absent: nobody looks at guides through this server's sockets. */
  readonly guideHub?: Pick<GuideHub, 'notify'>;
  /** Seals secret variables. */
  readonly secrets: SecretBox;
  /** Masks the secrets of an environment in what is answered of what its templates said once. */
  readonly hideSecrets: HideSecrets;
  /** What messages say that is not in their rows; absent: all of it is. */
  readonly bodies?: BodyReader | undefined;
  readonly authentication: Authentication;
  /** Absent: this server cannot read unsubscribe links. */
  readonly unsubscribeTokens?: SubscriberTokens;
  /** Absent: this server neither makes nor reads links to the preference center. */
  readonly preferenceTokens?: SubscriberTokens;
  /** Absent: this server cannot read tracked links. */
  readonly linkTokens?: LinkTokens;
  readonly traffic: TrafficCounters;
  readonly budgets: Budgets;
  /** Absent: the database is not on a disk of this machine, or that is no business of ours. */
  readonly disk?: Pick<DiskRoom, 'isLow'> | undefined;
  /** Absent: no broadcast is sent by this server. Told when one was created or changed. */
  readonly broadcasts?: Pick<Feeder, 'wake'> | undefined;
  readonly schedules?: Pick<ScheduleClock, 'wake'> | undefined;
  /** Absent: no events are sent by this server. Told when an endpoint was changed or something is replayed. */
  readonly webhooks?: Pick<RunningSender, 'wake'> | undefined;
  /** Absent: requests are not recorded. */
  readonly recorder?: Pick<Recorder, 'record'> | undefined;
  /** Absent: events are searched in the live tables. */
  readonly logSearch?: LogSearch | undefined;
  readonly quarantine: Quarantine;
  /** Absent: no store beside the database is configured. */
  readonly stores?: (() => StoresReport) | undefined;
  readonly metrics: Registry;
  readonly readiness: () => Readiness;
  /** Undefined while the server sends itself no triggers. */
  readonly canary?: () => Canary | undefined;
  /** Absent: the server does not know the keys of the account `demo`, so there is no demo page. */
  readonly demo?: DemoAccount | undefined;
};

/** What the demo page signs in with: from `credentials.json`, environment `development`. */
export type DemoAccount = {
  readonly publicKey: string;
  /** Channel ids by key. */
  readonly channels: { readonly [key: string]: string };
};

type Readiness = {
  readonly ready: boolean;
  readonly parts: { readonly [name: string]: PartState };
};

export type PartState = {
  readonly state: 'up' | 'starting' | 'down' | 'draining' | 'silent';
  /** What is wrong and what to do, when it is not up. */
  readonly reason?: string;
};
