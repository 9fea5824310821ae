import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AttachmentGate,
  attachedBytes,
  withAttachedFiles,
} from '../../src/engine/executor/attached-files.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { attachmentsOf } from '../../src/workflows/steps/attachments.ts';
import * as rows from '../support/engine-rows.ts';
import { createEngineWorld, type EngineWorld, emailStep } from '../support/engine-world.ts';
import { failure } from '../templates/support.ts';
import { scopeWith } from '../workflows/support.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const pdf = { name: 'a.pdf', content_type: 'application/pdf', content: 'JVBERg==' };

async function contentsOf(data: JsonObject, key?: string) {
  const step: JsonObject = emailStep();
  const template = { subject: 'x', html_body: 'x', settings: { attachment_key: key ?? null } };
  const overrides = { to_address: 'ann@example.org' };
  const of = await world.workflow({
    steps: [{ ...step, template, channel_overrides: overrides }],
  });
  const { refs, runIds } = await world.accept({
    ...of,
    data,
    recipients: [{ recipient: 'ada' }, { recipient: 'bob' }],
  });
  await world.execute(refs);
  return rows.messagesOf(world.test.db, runIds[0] ?? '');
}

describe('attachments of a trigger', () => {
  test.each([
    [{ attachments: [pdf] }, undefined],
    [{ invoice: { file: pdf } }, 'invoice.file'],
  ])(
    'are in its data alone, and with a message when it is sent [channel/email.template.settings.attachment_key]',
    async (data, key) => {
      const messages = await contentsOf(data, key);
      expect(messages).toHaveLength(2);
      for (const { id, content: rendered } of messages) {
        const content: JsonObject = rendered;
        expect(JSON.stringify(content)).not.toContain(pdf.content);
        expect(content.attachments).toMatchObject({
          files: [{ name: 'a.pdf', content_type: 'application/pdf', size: 4 }],
        });
        expect(attachedBytes(content)).toBe(8);
        const whole = await withAttachedFiles(world.test.db, id, content);
        expect(whole?.attachments).toMatchObject([{ ...pdf, size: 4 }]);
      }
    },
  );

  test('that are gone from the data are told from mails without', async () => {
    const [message] = await contentsOf({ attachments: [pdf] });
    await world.test.db.query(
      `update workflow_run
       set data = '{}'
       where id = (select workflow_run_id from message where id = $1)`,
      [message?.id],
    );
    expect(
      await withAttachedFiles(world.test.db, message?.id ?? '', message?.content ?? {}),
    ).toBeUndefined();
    expect(attachedBytes({ subject: 'x' })).toBe(0);
  });
});

describe('data for attachments', () => {
  test.each([
    [[], undefined],
    ['x', 'must be an object'],
    [{ ...pdf, name: '' }, '.name must be the name of a file'],
    [{ ...pdf, name: 'a\r\nb' }, '.name must be the name of a file'],
    [{ ...pdf, content_type: 'pdf' }, '.content_type must be a media type'],
    [{ ...pdf, content: 'no base64!' }, '.content must be base64'],
    [{ ...pdf, content: 'AA=A' }, '.content must be base64'],
    [{ ...pdf, content: 'A===' }, '.content must be base64'],
    // By an expression that looks back, in hours.
    [{ ...pdf, content: `${' '.repeat(2_000_000)}!` }, '.content must be base64'],
    [{ ...pdf, content: `${'='.repeat(2_000_000)}!` }, '.content must be base64'],
    [{ ...pdf, content_id: '<x>' }, '.content_id must be'],
    [Array(21).fill(pdf), 'at most 20 are sent'],
    [{ ...pdf, content: 'A'.repeat(14_000_000) }, 'an attachment has at most 10485760'],
  ])('is refused with its place and reason: %.60j', (value, reason) => {
    const find = () => attachmentsOf('files')(scopeWith({ files: value as never }));
    if (reason === undefined) expect(find()).toBeUndefined();
    else expect(failure(find)).toMatchObject({ message: expect.stringContaining(reason) });
  });

  test('is left alone under the default name when it has no files', () => {
    expect(attachmentsOf(undefined)(scopeWith({ attachments: ['a', { b: 1 }] }))).toBeUndefined();
  });
});

test('mails with attachments go as long as there is memory, and one that is larger alone', async () => {
  const gate = new AttachmentGate();
  const order: string[] = [];
  const ends: (() => void)[] = [];
  const send = (name: string, megabytes: number) =>
    gate.run(megabytes * 1024 * 1024, async () => {
      order.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
    });
  const all = [send('a', 40), send('b', 20), send('c', 100), send('d', 1)];
  await Promise.resolve();
  expect(order).toEqual(['a', 'b']);
  ends[0]?.();
  ends[1]?.();
  await Promise.all(all.slice(0, 2));
  await Promise.resolve();
  expect(order).toEqual(['a', 'b', 'c']);
  ends[2]?.();
  await all[2];
  await Promise.resolve();
  expect(order).toEqual(['a', 'b', 'c', 'd']);
  ends[3]?.();
  await Promise.all(all);
});
