import type { Context } from '../context.ts';
import type { Talker, Traffic, Window } from './dimension.ts';
import { createNames, type Names } from './names.ts';
import type { TrafficCounters } from './traffic.ts';

type Rates = {
  readonly runs_per_s: number;
  readonly triggers_per_s: number;
  readonly refused_per_s: number;
  readonly bytes_per_s: number;
};

/** One line of the answer to "who is it?". */
export type TopEntry = Rates & {
  readonly account?: { readonly id: number; readonly name: string | null };
  readonly environment?: { readonly id: number; readonly slug: string | null };
  readonly key?: { readonly id: string; readonly hint: string };
  /** Null: requests for workflows that do not exist. */
  readonly workflow?: string | null;
  readonly source?: string;
  /** Accepted runs, and one for each refused or repeated request: what is asked. An upper bound. */
  readonly load_per_s: number;
  /** How much of the load may be that of others, who were too many to be counted apart. */
  readonly error_per_s: number;
  /** Of all load, 0 to 1. */
  readonly share: number;
  readonly normal_per_s: number | null;
  /** How many times its normal; null while that is unknown or nearly nothing. */
  readonly factor: number | null;
  /** The same of its account as a whole. */
  readonly account_factor?: number | null;
  /** Since when it is more than three times its normal. */
  readonly since: string | null;
};

export type Top = {
  readonly at: string;
  readonly window: Window;
  /** The start of this process; of accounts, what is normal may be known from before. */
  readonly observed_since: string;
  readonly total: Rates;
  /** Each surge that others may feel, in one sentence. */
  readonly surges: readonly string[];
  /** By account, key and workflow together. */
  readonly callers: readonly TopEntry[];
  readonly accounts: readonly TopEntry[];
  readonly environments: readonly TopEntry[];
  readonly keys: readonly TopEntry[];
  readonly workflows: readonly TopEntry[];
  readonly sources: readonly TopEntry[];
};

export type ReadTop = (input: { readonly window: Window; readonly limit: number }) => Promise<Top>;

type Parts = {
  readonly accountId: number;
  readonly environmentId: number | undefined;
  readonly key: TopEntry['key'];
  readonly workflow: string | undefined;
};

/** Reads who is most, with names as far as the database is there to tell them. */
export function createReadTop(ctx: Context, traffic: TrafficCounters): ReadTop {
  const findNames = createNames(ctx);
  return async ({ window, limit }) => {
    const top = traffic.top(window);
    const cut = (talkers: readonly Talker[]) => talkers.slice(0, limit);
    const parts = [top.callers, top.environments, top.keys, top.workflows].flatMap(cut);
    // An account's name comes with one of its environments.
    const accounts = new Set(cut(top.accounts).map(({ key }) => partsOf(key).accountId));
    const names = await findNames(
      new Set([
        ...parts.flatMap(({ key }) => partsOf(key).environmentId ?? []),
        ...top.environments.flatMap(({ key }) => {
          const { accountId, environmentId } = partsOf(key);
          return accounts.has(accountId) ? (environmentId ?? []) : [];
        }),
      ]),
    );
    const factors = new Map(top.accounts.map(({ key, factor }) => [key, factor ?? null]));
    const entries = (talkers: readonly Talker[]): TopEntry[] =>
      cut(talkers).map((talker) => namedEntry(talker, names));
    const callers = cut(top.callers).map((talker) => ({
      ...namedEntry(talker, names),
      account_factor: factors.get(String(partsOf(talker.key).accountId)) ?? null,
    }));
    return {
      at: new Date(top.atMs).toISOString(),
      window,
      observed_since: new Date(top.watchedSinceMs).toISOString(),
      total: rates(top.total),
      surges: callers.filter((_, index) => top.callers[index]?.notable).map(sentence),
      callers,
      accounts: entries(top.accounts),
      environments: entries(top.environments),
      keys: entries(top.keys),
      workflows: entries(top.workflows),
      sources: cut(top.sources).map((talker) => ({ source: talker.key, ...entry(talker) })),
    };
  };
}

/** What the key of a caller, account, environment, key or workflow says. */
export function partsOf(talkerKey: string): Parts {
  const [account = '', environment, key] = talkerKey.split('/', 3);
  const [id = '', hint = ''] = key?.split(':') ?? [];
  const prefix = `${account}/${environment}/${key}/`;
  return {
    accountId: Number(account),
    environmentId: environment === undefined ? undefined : Number(environment),
    key: key ? { id: `key_${id}`, hint } : undefined,
    workflow: talkerKey.startsWith(prefix) ? talkerKey.slice(prefix.length) : undefined,
  };
}

function namedEntry(talker: Talker, names: Names): TopEntry {
  const { accountId, environmentId, key, workflow } = partsOf(talker.key);
  return {
    account: { id: accountId, name: names.account(accountId) ?? null },
    ...(environmentId !== undefined && {
      environment: { id: environmentId, slug: names.environment(environmentId) ?? null },
    }),
    ...(key && { key }),
    ...(workflow !== undefined && { workflow: workflow === '' ? null : workflow }),
    ...entry(talker),
  };
}

function entry(talker: Talker): Omit<TopEntry, 'account'> {
  const { load, error, share, normal, factor, sinceMs } = talker;
  return {
    ...rates(talker),
    load_per_s: rounded(load, 1),
    error_per_s: rounded(error, 1),
    share: rounded(share, 4),
    normal_per_s: normal === undefined ? null : rounded(normal, 3),
    factor: factor === undefined ? null : rounded(factor, 1),
    since: sinceMs === undefined ? null : new Date(sinceMs).toISOString(),
  };
}

function rates({ runs, triggers, refused, bytes }: Traffic): Rates {
  return {
    runs_per_s: rounded(runs, 1),
    triggers_per_s: rounded(triggers, 1),
    refused_per_s: rounded(refused, 1),
    bytes_per_s: Math.round(bytes),
  };
}

export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** A factor as people read it: `1.4`, `61`. */
export function times(factor: number): string {
  return String(factor < 10 ? rounded(factor, 1) : Math.round(factor));
}

/** `account acme, key ...ab12, workflow welcome: 61 times its normal, 83 % of the traffic, since 04:00:20 UTC`. */
function sentence(caller: TopEntry): string {
  const { account, environment, key, workflow, share, since } = caller;
  const who = [
    `account ${account?.name ?? `#${account?.id}`}${environment?.slug ? ` (${environment.slug})` : ''}`,
    `key ...${key?.hint}`,
    typeof workflow === 'string' ? `workflow ${workflow}` : 'workflows that do not exist',
  ].join(', ');
  const facts = [
    comparison(caller),
    `${Math.round(share * 100)} % of the traffic`,
    `since ${since?.slice(11, 19)} UTC`,
  ].join(', ');
  return `${who}: ${facts}`;
}

function comparison({
  factor,
  account_factor: accountFactor = null,
  load_per_s,
}: TopEntry): string {
  if (factor !== null) return `${times(factor)} times its normal`;
  if (accountFactor !== null)
    return `new, with the account at ${times(accountFactor)} times its normal`;
  return `${Math.round(load_per_s)} runs/s where nothing is normal`;
}
