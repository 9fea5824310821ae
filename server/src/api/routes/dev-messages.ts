import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { openContents } from '../../bodies/open-contents.ts';
import type { BodyReader } from '../../bodies/read-bodies.ts';
import { type ChannelType, channelTypeNumber, channelTypes } from '../../channels/channel-type.ts';
import { isForwarded, isLoopbackHost, viewerIsOn } from '../../channels/viewer.ts';
import type { Database } from '../../db/database.ts';
import { cutPage, type PageRequest, readPage, readsBackward } from '../../feed/page.ts';
import { choiceParameter, type RawParameters, textParameter } from '../../feed/query-reader.ts';
import { BelfryError } from '../../lib/errors.ts';
import { uuidFromKsuid } from '../../lib/ksuid.ts';
import { messageText, type ShownRow, shownMessage, shownSummary } from '../dev-message.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

const columns = `
  message.id,
  message.environment_id,
  environment.account_id,
  account.name as account,
  environment.slug as environment,
  message.collection,
  message.recipient_id,
  message.tenant,
  message.workflow_key,
  message.step_ref,
  message.content,
  message.inserted_at,
  message.scheduled_at,
  coalesce(last.status, message.status) as status,
  channel.key as channel_key,
  channel.name as channel_name,
  message.channel_type`;

const tables = `
  join environment on environment.id = message.environment_id
  join account on account.id = environment.account_id
  left join channel on channel.id = message.channel_id
  left join lateral (
    select delivery.status
    from delivery
    where delivery.message_id = message.id
    order by delivery.attempt desc
    limit 1
  ) last on true`;

/** A filter looks among so many of the newest messages: no index is kept for who only looks. */
const SEARCHED = 10_000;

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

type Filter = {
  readonly type: ChannelType | undefined;
  readonly recipient: string | undefined;
  readonly workflow: string | undefined;
};

/** What the viewer at /dev/messages reads: messages of every channel type, as their recipients get them. */
export function devMessageRoutes(app: App, services: Services): void {
  const { db, config } = services;
  const onRequest = async (request: FastifyRequest) => requireViewer(config, request);
  const options = { config: { access: 'none' }, onRequest, schema: { hide: true } } as const;

  app.get('/dev/messages.json', options, async (request, reply) => {
    const query = request.query as RawParameters;
    const page = readPage(query);
    const filter = {
      type: choiceParameter(query, 'type', channelTypes),
      recipient: textParameter(query, 'recipient'),
      workflow: textParameter(query, 'workflow'),
    };
    const { rows: read, info } = cutPage(page, await readMessages(db, page, filter));
    const opened = await whatCanBeRead(services.bodies, read);
    const rows = await Promise.all(opened.map((row) => withoutSecrets(services, row)));
    const entries = rows.map((row) => shownSummary(row, config.mailFrom));
    return reply.header('cache-control', 'no-store').send({ entries, page_info: info });
  });

  const params = Type.Object({ id: Type.String() });
  const one = { ...options, schema: { ...options.schema, params } };

  app.get('/dev/messages/:id.json', one, async (request, reply) => {
    const row = await readMessage(services, request.params.id);
    return reply.header('cache-control', 'no-store').send(shownMessage(row, config.mailFrom));
  });

  app.get('/dev/messages/:id/html', one, async (request, reply) => {
    const { content } = await readMessage(services, request.params.id);
    return sendBody(reply, 'text/html; charset=utf-8', messageText(content.html_body));
  });

  app.get('/dev/messages/:id/text', one, async (request, reply) => {
    const { content } = await readMessage(services, request.params.id);
    return sendBody(reply, 'text/plain; charset=utf-8', messageText(content.text_body));
  });
}

function requireViewer(config: Services['config'], request: FastifyRequest): void {
  if (!config.demo) {
    throw new BelfryError('viewer_off', 'The viewer is turned off (BELFRY_DEMO)');
  }
  if (!viewerIsOn(config)) {
    throw new BelfryError(
      'viewer_off',
      'The viewer is on only without BELFRY_SMTP_URL and with BELFRY_HOST at a loopback address such as 127.0.0.1',
    );
  }
  if (isForwarded(request.headers)) {
    throw new BelfryError('viewer_off', 'The viewer does not answer through a proxy');
  }
  // A name of somebody else's that points to this machine would let their page read the messages.
  if (!isLoopbackHost(request.hostname)) {
    throw new BelfryError(
      'viewer_off',
      `The viewer answers at localhost and 127.0.0.1, not at ${JSON.stringify(request.hostname.slice(0, 100))}`,
    );
  }
}

function sendBody(reply: FastifyReply, contentType: string, body: string): FastifyReply {
  return reply.headers({ ...mailHeaders, 'content-type': contentType }).send(body);
}

/** A list shows what there is: of a content that cannot be read, nothing. */
async function whatCanBeRead(
  bodies: BodyReader | undefined,
  rows: readonly ShownRow[],
): Promise<readonly ShownRow[]> {
  if (!bodies) return rows;
  const read = await bodies.read(rows);
  return rows.map((row) => {
    const body = read.get(row.id);
    if (!body) return row;
    return { ...row, content: 'content' in body ? body.content : {} };
  });
}

/** What it says may be from a time when templates could read secrets. */
async function withoutSecrets(services: Services, row: ShownRow): Promise<ShownRow> {
  const { environment_id: id, account_id: accountId, environment: slug } = row;
  const environment = { id, accountId, slug };
  return { ...row, content: await services.hideSecrets({ ...services, environment }, row.content) };
}

async function readMessages(
  db: Database,
  page: PageRequest,
  { type, recipient, workflow }: Filter,
): Promise<ShownRow[]> {
  const order = readsBackward(page) ? 'asc' : 'desc';
  return db.query<ShownRow>(
    `select ${columns}
    from (
      select *
      from message
      where ($1::uuid is null or message.id < $1)
        and ($2::uuid is null or message.id > $2)
      order by message.id ${order}
      limit ${SEARCHED}
    ) message
    ${tables}
    where ($3::smallint is null or message.channel_type = $3)
      and ($4::text is null or message.recipient_id = $4)
      and ($5::text is null or message.workflow_key = $5)
    order by message.id ${order}
    limit $6`,
    [
      page.after ?? null,
      page.before ?? null,
      type === undefined ? null : channelTypeNumber(type),
      recipient ?? null,
      workflow ?? null,
      page.size + 1,
    ],
  );
}

async function readMessage(services: Services, id: string): Promise<ShownRow> {
  const uuid = uuidFromKsuid(id);
  const [row] = uuid
    ? await services.db.query<ShownRow>(
        `select ${columns}
        from message
        ${tables}
        where message.id = $1`,
        [uuid],
      )
    : [];
  const [opened] = row ? await openContents(services.bodies, [row]) : [];
  if (opened) return withoutSecrets(services, opened);
  throw new BelfryError(
    'resource_missing',
    `There is no message ${JSON.stringify(id.slice(0, 100))}; see /dev/messages.json`,
  );
}
