import {
  abandoned,
  admit,
  type Breaker,
  closedBreaker,
  failed,
  succeeded,
} from '../channels/breaker.ts';
import type { Environment } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { sealedFor } from './endpoint.ts';

/** Requests to one endpoint that may be under way. */
export const SLOTS = 16;
/** Events that a look takes at most, divided among the accounts that have some. */
export const EVENTS_A_LOOK = 64;

/** An enabled endpoint, and what this process knows of it. */
export type Target = {
  readonly id: number;
  url: string;
  environment: Environment;
  /** The current one first; none could be opened: undefined. */
  secrets: readonly [string, ...string[]] | undefined;
  breaker: Breaker;
  readonly underWay: Set<number>;
};

export type TargetRow = {
  readonly id: number;
  readonly public_id: string;
  readonly url: string;
  readonly secret: string;
  readonly previous_secret: string | null;
  readonly previous_until: Date | null;
  readonly environment_id: number;
  readonly environment_public_id: string;
  readonly account_id: number;
  readonly slug: string;
};

/** Every enabled endpoint of the installation. */
export function readTargets(db: Queryable): Promise<TargetRow[]> {
  return db.query({
    name: 'webhook_targets',
    text: `
      select w.id, w.public_id, w.url, w.secret, w.previous_secret, w.previous_until, w.environment_id,
             e.public_id as environment_public_id, e.account_id, e.slug
      from webhook_endpoint w
      join environment e on e.id = w.environment_id
      where w.state = 'enabled'
      order by w.id`,
  });
}

/** The endpoints that may be asked; remembers of each how it does, while it stays enabled. */
export class Targets {
  #byId = new Map<number, Target>();
  /** Accounts that had something when it was looked last. */
  #busy = 1;
  #first = 0;

  get size(): number {
    return this.#byId.size;
  }

  get(id: number): Target | undefined {
    return this.#byId.get(id);
  }

  underWay(): number[] {
    return [...this.#byId.values()].flatMap((target) => [...target.underWay]);
  }

  update(rows: readonly TargetRow[], secrets: SecretBox, nowMs: number): void {
    this.#byId = new Map(
      rows.map((row) => {
        const known = this.#byId.get(row.id);
        const target: Target = {
          id: row.id,
          url: row.url,
          environment: {
            id: row.environment_id,
            publicId: row.environment_public_id,
            accountId: row.account_id,
            slug: row.slug,
            settings: {},
          },
          secrets: secretsOf(row, secrets, nowMs),
          breaker: known?.breaker ?? closedBreaker,
          underWay: known?.underWay ?? new Set(),
        };
        // What is under way holds the one that it began with.
        return [row.id, known ? Object.assign(known, target) : target];
      }),
    );
  }

  /** Whom to ask about what is due, and for how many events of each. Every look begins with another one. */
  rooms(nowMs: number, limit: number): { readonly id: number; readonly room: number }[] {
    const share = Math.max(1, Math.ceil(limit / Math.max(1, this.#busy)));
    const all = [...this.#byId.values()];
    const from = all.length === 0 ? 0 : this.#first++ % all.length;
    return [...all.slice(from), ...all.slice(0, from)].flatMap((target) => {
      const room = Math.min(share, roomOf(target, nowMs));
      return room > 0 ? [{ id: target.id, room }] : [];
    });
  }

  /** What a look found. Returns the events of it to send now: accounts in turns, and in each its endpoints in turns. */
  take<Event extends { readonly endpoint_id: number }>(
    found: readonly Event[],
    limit: number,
  ): Event[] {
    const known = found.filter((event) => this.#byId.has(event.endpoint_id));
    const byAccount = Map.groupBy(
      known,
      (event) => this.#byId.get(event.endpoint_id)?.environment.accountId,
    );
    this.#busy = byAccount.size;
    const inTurn = [...byAccount.values()].map((events) =>
      turns([...Map.groupBy(events, (event) => event.endpoint_id).values()]),
    );
    return turns(inTurn).slice(0, limit);
  }
}

/** A request begins. */
export function begin(target: Target, deliveryId: number, nowMs: number): void {
  target.underWay.add(deliveryId);
  target.breaker = admit(target.breaker, nowMs).breaker;
}

/** A request ended; without an answer it told nothing of the endpoint. The event is under way until that is recorded. */
export function end(target: Target, isDelivered: boolean | undefined, nowMs: number): void {
  const { breaker } = target;
  if (isDelivered === undefined) target.breaker = abandoned(breaker, nowMs);
  else target.breaker = isDelivered ? succeeded() : failed(breaker, nowMs);
}

/** The first of each, then the second of each, and so on. */
function turns<Entry>(lists: readonly (readonly Entry[])[]): Entry[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, turn) =>
    lists.flatMap((list) => list.slice(turn, turn + 1)),
  ).flat();
}

function roomOf({ breaker, underWay }: Target, nowMs: number): number {
  switch (breaker.kind) {
    case 'closed':
      return SLOTS - underWay.size;
    case 'open':
      return underWay.size === 0 && nowMs >= breaker.untilMs ? 1 : 0;
    case 'probing':
      return 0;
  }
}

function secretsOf(row: TargetRow, box: SecretBox, nowMs: number): Target['secrets'] {
  const open = (sealed: string) => box.open(sealed, sealedFor(row.public_id));
  const current = open(row.secret);
  if (current === undefined) return undefined;
  const isKept = row.previous_secret !== null && (row.previous_until?.getTime() ?? 0) > nowMs;
  const previous = isKept ? open(row.previous_secret ?? '') : undefined;
  return previous === undefined ? [current] : [current, previous];
}
