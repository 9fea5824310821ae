import type { Database } from '../db/database.ts';
import type { Part, PartContext } from '../lib/carrier-part.ts';
import type { BodiesConfig } from './config.ts';
import { guardStore } from './guarded-store.ts';
import type { MoverState } from './mover-state.ts';
import { openS3Store } from './s3-store.ts';

/** Brings packs to the object store, until it is closed; see README.md. */
export async function startMover(
  ctx: PartContext<Database>,
  config: BodiesConfig,
): Promise<Part<MoverState>> {
  const { clock, random } = ctx;
  const store = guardStore(await openS3Store(config), { nowMs: clock.now, random });
  return {
    state: () => ({
      backlog: { packs: 0, bytes: 0, oldestMs: undefined },
      ring: { bytes: 0, boundBytes: config.backlogBytes },
      moved: { objects: 0, packs: 0, bytes: 0 },
      slotsGivenBack: 0,
      keptForDelivery: 0,
      erasuresOpen: 0,
      objectsDeleted: 0,
      store: store.stats(),
    }),
    close: async () => store.close(),
  };
}
