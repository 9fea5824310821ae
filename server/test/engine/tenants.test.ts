import { describe, expect, it } from 'vitest';
import type { TriggerRequest } from '../../src/engine/engine.ts';
import { flowOfTenant } from '../../src/engine/log/flow.ts';
import { layOutTriggers } from '../../src/engine/log/layout.ts';
import { forSeeds, integer } from '../support/random.ts';
import { must, ref, schedule, stateWith } from '../support/schedules.ts';

const LANE = 5;

describe('tenants of one lane', () => {
  it('get equal shares of the service while they have work, whatever their work costs', () => {
    forSeeds(300, (random) => {
      const state = stateWith(1);
      const costs = [0, 1, 2].map(() => integer(random, 1, 20));
      const refs = costs.flatMap((_, flow) =>
        Array.from({ length: 400 }, () => ref(LANE, 100, 0, flow)),
      );
      let [next] = schedule(state, { type: 'appended', refs });
      const served = costs.map(() => 0);
      for (let i = 0; i < 400 && next; i++) {
        const flow = next.slices[0]?.ref.flow ?? 0;
        const serviceMs = costs[flow] ?? 0;
        served[flow] = (served[flow] ?? 0) + serviceMs;
        [next] = schedule(state, { type: 'finished', assignmentId: next.id, serviceMs });
      }
      const spread = Math.max(...served) - Math.min(...served);
      // The bound of Goyal, Vin and Cheng: what each may have been given at once.
      must(spread <= 2 * Math.max(...costs), `shares of ${served.join(', ')}`);
    });
  });

  it('do not wait behind the backlog of another tenant', () => {
    const state = stateWith(1);
    const flood = Array.from({ length: 1_000 }, () => ref(LANE, 500, 0, 1));
    let [under] = schedule(state, { type: 'appended', refs: flood });
    for (let i = 0; i < 20 && under; i++) {
      [under] = schedule(state, { type: 'finished', assignmentId: under.id, serviceMs: 10 });
    }
    const quiet = ref(LANE, 1, 0, 2);
    schedule(state, { type: 'appended', refs: [quiet] });
    const [next] = schedule(state, {
      type: 'finished',
      assignmentId: under?.id ?? 0,
      serviceMs: 10,
    });
    expect(next?.slices[0]?.ref).toBe(quiet);
  });

  it('would wait for a thousand chunks if they were one flow (expected to fail)', () => {
    const state = stateWith(1);
    const flood = Array.from({ length: 1_000 }, () => ref(LANE, 500, 0, 1));
    const [under] = schedule(state, { type: 'appended', refs: flood });
    const quiet = ref(LANE, 1, 0, 1);
    schedule(state, { type: 'appended', refs: [quiet] });
    const [next] = schedule(state, {
      type: 'finished',
      assignmentId: under?.id ?? 0,
      serviceMs: 10,
    });
    expect(next?.slices[0]?.ref).not.toBe(quiet);
  });

  it('share chunks while nothing waits, and have chunks of their own when the lane is crowded', () => {
    const triggers = ['acme', null, 'globex', 'acme'].map((tenant) => ({
      request: request(tenant),
      dataText: '{}',
    }));
    expect(layOutTriggers(triggers, 1, 1, 0, () => false).chunks).toHaveLength(1);
    const crowded = layOutTriggers(triggers, 1, 1, 0, () => true).chunks;
    expect(crowded.map(({ flow, runCount }) => [flow, runCount])).toEqual([
      [flowOfTenant('acme'), 2],
      [0, 1],
      [flowOfTenant('globex'), 1],
    ]);
  });

  it('have flows that fit the column, and seldom the same', () => {
    const flows = new Set<number>();
    for (let i = 0; i < 1_000; i++) {
      const flow = flowOfTenant(`tenant-${i}`);
      must(flow >= 1 && flow <= 32_767, `flow ${flow}`);
      flows.add(flow);
    }
    expect(flows.size).toBeGreaterThan(960);
  });
});

function request(tenant: string | null): TriggerRequest {
  return {
    environmentId: 1,
    workflowKey: 'welcome',
    versionId: 1,
    recipients: [{ recipient: 'mara' }],
    actor: null,
    tenant,
    data: {},
    cancellationKey: null,
    settings: {},
  };
}
