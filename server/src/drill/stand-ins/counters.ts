/** What a stand-in was asked since it started. */
export type Counters = {
  readonly requests: number;
  /** By HTTP method. */
  readonly methods: Readonly<Record<string, number>>;
  /** Requests that met a fault, by its kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly bytesIn: number;
  /** Most requests that came within one second of the clock. */
  readonly busiestSecond: number;
};

export type Counting = {
  readonly request: (method: string) => void;
  readonly fault: (kind: string) => void;
  readonly status: (status: number) => void;
  readonly received: (bytes: number) => void;
  readonly read: () => Counters;
};

export function createCounters(nowMs: () => number): Counting {
  const methods: Record<string, number> = {};
  const faults: Record<string, number> = {};
  const statuses: Record<string, number> = {};
  let requests = 0;
  let bytesIn = 0;
  let busiestSecond = 0;
  let second = 0;
  let inSecond = 0;
  const count = (counts: Record<string, number>, name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  return {
    request: (method) => {
      const now = Math.floor(nowMs() / 1_000);
      if (now !== second) {
        second = now;
        inSecond = 0;
      }
      inSecond += 1;
      requests += 1;
      busiestSecond = Math.max(busiestSecond, inSecond);
      count(methods, method);
    },
    fault: (kind) => count(faults, kind),
    status: (status) => count(statuses, String(status)),
    received: (bytes) => {
      bytesIn += bytes;
    },
    read: () => ({
      ...{ requests, bytesIn, busiestSecond },
      methods: { ...methods },
      faults: { ...faults },
      statuses: { ...statuses },
    }),
  };
}
