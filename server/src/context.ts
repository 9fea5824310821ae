import type { Database } from './db/database.ts';
import type { Clock } from './lib/clock.ts';
import type { JsonObject } from './lib/json.ts';
import type { Logger } from './lib/log.ts';

/** What every verb receives. */
export type Context = {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
};

/** An environment of an account: the scope of every tenant-owned row. */
export type Environment = {
  /** The row's number, used in every hot table. */
  readonly id: number;
  readonly publicId: string;
  readonly accountId: number;
  readonly slug: string;
  readonly settings: EnvironmentSettings;
};

export type EnvironmentSettings = {
  /** A public key then needs a signed user token. */
  readonly enhanced_security?: boolean;
  /** The environment's default preference set. */
  readonly preferences?: JsonObject;
  /** Of recipients without one of their own; UTC when absent. */
  readonly timezone?: string;
  /** The page where users change their preferences, as it was set. */
  readonly preference_center?: JsonObject;
};

export type EnvironmentContext = Context & { readonly environment: Environment };
