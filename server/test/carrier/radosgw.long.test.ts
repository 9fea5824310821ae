import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Faults, NO_FAULTS } from '../../src/drill/stand-ins/faults.ts';
import type { Stand } from '../../src/drill/stand-ins/serve.ts';
import { emailStep } from '../support/engine-world.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { type Radosgw, startRadosgw } from '../support/radosgw.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer, type WholeServer } from '../support/whole-server.ts';

const bucket = 'belfry-bodies';
const region = 'us-east-1';
const PAGE = 50;
const MAILS = 100;
const WITHIN_MS = 180_000;

let ceph: Radosgw;
let proxy: Stand;
let server: WholeServer;

beforeAll(async () => {
  ceph = await startRadosgw();
  process.env.AWS_ACCESS_KEY_ID = ceph.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = ceph.secretAccessKey;
  const client = new S3Client({ endpoint: ceph.url, region, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  proxy = await startFaultProxy(ceph.url);
  const store = { bucket, prefix: 'messages/', endpoint: proxy.url, region };
  server = await startWholeServer({
    objectStore: { ...store, minBytes: 2_048, backlogBytes: 1024 ** 3 },
  });
  const text = `{{ data.name }}: ${'all that there is to say. '.repeat(160)}{{ data.name }}`;
  await server.push('mail', [
    emailStep('email_1', { template: { subject: '{{ data.name }}', text_body: text } }),
  ]);
}, 600_000);

afterEach(() => proxy?.setFaults(NO_FAULTS));

afterAll(async () => {
  await server?.stop();
  await proxy?.close();
  await ceph?.close();
  await removeDataDirs();
}, 120_000);

async function get(path: string): Promise<Record<string, unknown>> {
  const key = server.server.credentials?.environments.development?.secret_key;
  const response = await fetch(`${server.server.url}${path}`, {
    headers: { authorization: `Bearer ${key}` },
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return (await response.json()) as Record<string, unknown>;
}

type Mail = { readonly id: string; readonly status: string };

async function mailsOf(recipient: string): Promise<readonly Mail[]> {
  const { items } = await get(`/v1/users/${recipient}/messages?page_size=${PAGE}`);
  return items as readonly Mail[];
}

const faults: readonly (readonly [name: string, faults: Partial<Faults>])[] = [
  ['5 % SlowDown', { kind: 'slow_down', share: 0.05 }],
  ['50 % errors', { kind: 'internal_error', share: 0.5 }],
  ['nothing but SlowDown', { kind: 'slow_down', share: 1 }],
  ['connections that break', { kind: 'reset', share: 1 }],
  ['answers that are lost', { kind: 'reset_answer', share: 1 }],
  ['answers that never come', { kind: 'hang', share: 1 }],
  ['a second for each answer', { latencyMs: 1_000 }],
];

test.each(faults)(
  'with %s every mail is delivered at once, and is read when it is over',
  async (name, what) => {
    const label = name.replaceAll(/\W+/g, '-');
    proxy.setFaults(what);
    const users = [`${label}-a`, `${label}-b`];
    for (let n = 0; n < MAILS / users.length; n++) {
      const recipients = users.map((id) => ({ id, email: `${id}@example.com` }));
      await server.trigger('mail', { recipients, data: { name: `${label}-${n}` } });
    }
    const mails = await waitFor('deliveries', async () => {
      const all = (await Promise.all(users.map(mailsOf))).flat();
      const isDone =
        all.length === MAILS &&
        all.every(({ status }) => status === 'delivered' || status === 'sent');
      return isDone ? all : undefined;
    });
    // Nothing of it may be in the store yet, and all of it is readable.
    const asked = proxy.counters().requests;
    await expect(get(`/v1/messages/${mails[0]?.id}/content`)).resolves.toBeDefined();
    await waitFor(
      'the store to be asked',
      () => (proxy.counters().requests > asked ? true : undefined),
      WITHIN_MS,
    );
    proxy.setFaults(NO_FAULTS);
    await waitFor(
      'everything to be moved',
      async () =>
        (await server.metric('belfry_object_store_backlog_packs')) === 0 ? true : undefined,
      WITHIN_MS,
    );
    for (const { id } of mails) {
      const { data } = (await get(`/v1/messages/${id}/content`)) as {
        readonly data: { readonly subject_line: string; readonly text_body: string };
      };
      expect(data.text_body.startsWith(`${data.subject_line}: all`)).toBe(true);
      expect(data.text_body.trim().endsWith(data.subject_line)).toBe(true);
    }
  },
  600_000,
);
