import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Plan } from './plan.ts';
import { makeScratchDisk, NoScratchDisk, type ScratchDisk } from './scratch-disk.ts';
import { type StandIn, startStandIn } from './stand-in.ts';
import type { Timeline } from './timeline.ts';

const BUCKET = 'belfry-drill';
const REGION = 'eu-west-1';
const S3_KEYS = { accessKeyId: 'AKDRILL', secretAccessKey: 'drill-secret' } as const;
const LOGS = { user: 'belfry', password: 'drill', database: 'logs', version: '25.8.1.1' } as const;

/** Which stores the drill breaks. */
export type StoreOptions = {
  readonly objectStore: boolean;
  readonly logStore: boolean;
  /** Filling up a disk needs root; `must`: it counts as missed where that is not so. */
  readonly fullDisk: 'must' | 'where possible';
};

/** What the scratch server stores things in, beside its database. */
export type Stores = {
  readonly objectStore: StandIn | undefined;
  readonly logStore: StandIn | undefined;
  /** Takes the mails whose bodies go to the object store. */
  readonly mail: StandIn | undefined;
  /** What the database lies on; undefined: on the disk of this machine. */
  readonly disk: ScratchDisk | undefined;
  /** Variables that lead the server to all this. */
  readonly env: Readonly<Record<string, string>>;
  readonly end: () => Promise<void>;
};

/** Starts what was asked for. Objects of earlier drills are not there, and nothing is left behind by `end`. */
export async function openStores(
  wanted: StoreOptions,
  plan: Plan,
  timeline: Timeline,
): Promise<Stores> {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-drill-stores-'));
  const standIns: StandIn[] = [];
  let disk: ScratchDisk | undefined;
  const end = async (): Promise<void> => {
    for (const standIn of standIns) standIn.end();
    await disk?.remove();
    await rm(directory, { recursive: true, force: true });
  };
  const start = async (opening: Parameters<typeof startStandIn>[0]): Promise<StandIn> => {
    const standIn = await startStandIn(opening);
    standIns.push(standIn);
    return standIn;
  };
  try {
    disk = await scratchDisk(plan, timeline);
    const objects = join(directory, 'objects');
    await mkdir(objects);
    const objectStore = wanted.objectStore
      ? await start({
          type: 'object-store',
          options: { directory: objects, buckets: [BUCKET], region: REGION, ...S3_KEYS },
        })
      : undefined;
    const mail = wanted.objectStore ? await start({ type: 'mail-sink' }) : undefined;
    const logStore = wanted.logStore
      ? await start({ type: 'log-store', options: LOGS })
      : undefined;
    return {
      ...{ objectStore, logStore, mail, disk, end },
      env: {
        ...(objectStore && {
          BELFRY_OBJECT_STORE: `s3://${BUCKET}/messages`,
          BELFRY_OBJECT_STORE_ENDPOINT: objectStore.url,
          BELFRY_OBJECT_STORE_REGION: REGION,
          AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
          AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
        }),
        ...(mail && { BELFRY_SMTP_URL: mail.url }),
        ...(logStore && {
          BELFRY_LOG_STORE: `${logStore.url.replace('://', `://${LOGS.user}:${LOGS.password}@`)}/${LOGS.database}`,
        }),
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function scratchDisk(plan: Plan, timeline: Timeline): Promise<ScratchDisk | undefined> {
  try {
    const disk = await makeScratchDisk(plan.disk);
    timeline.note(`a file system of ${plan.disk.megabytes.toLocaleString('en')} MB is made`);
    return disk;
  } catch (error) {
    if (!(error instanceof NoScratchDisk)) throw error;
    const asRoot = 'run the drill as root: sudo npx belfry drill noisy-neighbour --full-disk';
    const wayOut = process.getuid?.() === 0 ? '' : `; ${asRoot}`;
    timeline.note('no disk will be filled up', `${error.message}${wayOut}`);
    return undefined;
  }
}
