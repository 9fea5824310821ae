import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { channelTypeNumber } from '../../channels/channel-type.ts';
import { isForwarded, isLoopbackHost, viewerIsOn } from '../../channels/viewer.ts';
import type { Database } from '../../db/database.ts';
import { cutPage, type PageRequest, readPage, readsBackward } from '../../feed/page.ts';
import { BelfryError } from '../../lib/errors.ts';
import type { Json, JsonObject } from '../../lib/json.ts';
import { ksuidFromUuid, uuidFromKsuid } from '../../lib/ksuid.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

type MailRow = {
  readonly id: string;
  readonly account: string;
  readonly environment: string;
  readonly recipient_id: string;
  readonly workflow_key: string;
  readonly content: JsonObject;
  readonly inserted_at: Date;
};

const columns = `
  message.id,
  account.name as account,
  environment.slug as environment,
  message.recipient_id,
  message.workflow_key,
  message.content,
  message.inserted_at`;

const tables = `
  message
  join environment on environment.id = message.environment_id
  join account on account.id = environment.account_id`;

/** Mail is somebody else's page: it may show itself and pictures, and do nothing. */
const mailHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': [
    'sandbox allow-popups allow-popups-to-escape-sandbox',
    "default-src 'none'",
    "style-src 'unsafe-inline' https: http:",
    'img-src data: https: http:',
    'font-src data: https: http:',
    "frame-ancestors 'self'",
  ].join('; '),
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/** What the mail viewer at /dev/mail reads: the e-mails that were kept instead of sent. */
export function devMailRoutes(app: App, services: Services): void {
  const { db, config } = services;
  const onRequest = async (request: FastifyRequest) => {
    if (!config.demo) {
      throw new BelfryError('mail_viewer_off', 'The mail viewer is turned off (BELFRY_DEMO)');
    }
    if (!viewerIsOn(config)) {
      throw new BelfryError(
        'mail_viewer_off',
        'The mail viewer is on only without BELFRY_SMTP_URL and with BELFRY_HOST at a loopback address such as 127.0.0.1',
      );
    }
    if (isForwarded(request.headers)) {
      throw new BelfryError('mail_viewer_off', 'The mail viewer does not answer through a proxy');
    }
    // A name of somebody else's that points to this machine would let their page read the mail.
    if (!isLoopbackHost(request.hostname)) {
      throw new BelfryError(
        'mail_viewer_off',
        `The mail viewer answers at localhost and 127.0.0.1, not at ${JSON.stringify(request.hostname.slice(0, 100))}`,
      );
    }
  };
  const options = { config: { access: 'none' }, onRequest, schema: { hide: true } } as const;

  app.get('/dev/mail.json', options, async (request, reply) => {
    const page = readPage(request.query as { readonly [name: string]: unknown });
    const { rows, info } = cutPage(page, await readMails(db, page));
    const entries = rows.map((row) => summary(row, config.mailFrom));
    return reply.header('cache-control', 'no-store').send({ entries, page_info: info });
  });

  const params = Type.Object({ id: Type.String() });
  const one = { ...options, schema: { ...options.schema, params } };

  app.get('/dev/mail/:id.json', one, async (request, reply) => {
    const row = await readMail(db, request.params.id);
    const mail = {
      ...summary(row, config.mailFrom),
      cc: text(row.content.cc),
      bcc: text(row.content.bcc),
      reply_to: text(row.content.reply_to),
      html_body: text(row.content.html_body),
      text_body: text(row.content.text_body),
    };
    return reply.header('cache-control', 'no-store').send(mail);
  });

  app.get('/dev/mail/:id/html', one, async (request, reply) => {
    const row = await readMail(db, request.params.id);
    return sendBody(reply, 'text/html; charset=utf-8', text(row.content.html_body));
  });

  app.get('/dev/mail/:id/text', one, async (request, reply) => {
    const row = await readMail(db, request.params.id);
    return sendBody(reply, 'text/plain; charset=utf-8', text(row.content.text_body));
  });
}

function sendBody(reply: FastifyReply, contentType: string, body: string): FastifyReply {
  return reply.headers({ ...mailHeaders, 'content-type': contentType }).send(body);
}

async function readMails(db: Database, page: PageRequest): Promise<MailRow[]> {
  const backward = readsBackward(page);
  return db.query<MailRow>(
    `select ${columns}
    from ${tables}
    where message.channel_type = $1
      and ($2::uuid is null or message.id < $2)
      and ($3::uuid is null or message.id > $3)
    order by message.id ${backward ? 'asc' : 'desc'}
    limit $4`,
    [channelTypeNumber('email'), page.after ?? null, page.before ?? null, page.size + 1],
  );
}

async function readMail(db: Database, id: string): Promise<MailRow> {
  const uuid = uuidFromKsuid(id);
  const [row] = uuid
    ? await db.query<MailRow>(
        `select ${columns}
        from ${tables}
        where message.id = $1
          and message.channel_type = $2`,
        [uuid, channelTypeNumber('email')],
      )
    : [];
  if (row) return row;
  throw new BelfryError(
    'resource_missing',
    `There is no e-mail ${JSON.stringify(id.slice(0, 100))}; see /dev/mail.json`,
  );
}

function summary(row: MailRow, mailFrom: string): JsonObject {
  return {
    id: ksuidFromUuid(row.id),
    account: row.account,
    environment: row.environment,
    workflow: row.workflow_key,
    recipient_id: row.recipient_id,
    to: text(row.content.to),
    from: sender(row.content, mailFrom),
    subject: text(row.content.subject),
    inserted_at: row.inserted_at.toISOString(),
  };
}

/** As a mail program would show it. */
function sender(content: JsonObject, mailFrom: string): string {
  const from = text(content.from) || mailFrom;
  const name = text(content.from_name);
  return name === '' ? from : `${name} <${/<([^<>]*)>\s*$/.exec(from)?.[1] ?? from}>`;
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
