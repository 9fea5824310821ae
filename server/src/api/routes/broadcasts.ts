import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { type Broadcast, getBroadcast, listBroadcasts } from '../../broadcasts/broadcast.ts';
import { broadcastRecipients } from '../../broadcasts/broadcast-recipients.ts';
import {
  cancelBroadcast,
  pauseBroadcast,
  resumeBroadcast,
  setBroadcastRate,
} from '../../broadcasts/change-broadcast.ts';
import { createBroadcast, retryFailed } from '../../broadcasts/create-broadcast.ts';
import { broadcastProgress } from '../../broadcasts/progress.ts';
import type { EnvironmentContext } from '../../context.ts';
import { parseShared } from '../../engine/trigger-body.ts';
import { identifyMany } from '../../recipients/identify.ts';
import { pageRequest } from '../../recipients/page.ts';
import { environmentContext } from '../access.ts';
import {
  BroadcastAnswer,
  BroadcastBody,
  BroadcastParams,
  BroadcastWithProgress,
  Rate,
} from '../broadcast-schemas.ts';
import { callerOf, refuseQuarantined } from '../budget.ts';
import { countAccepted, countRefused } from '../count-traffic.ts';
import type { App } from '../route.ts';
import { answers, PageInfo, pageQuery } from '../schemas.ts';
import type { Services } from '../services.ts';
import { requireActive } from '../trigger-workflow.ts';

const tags = ['Broadcasts'];
const RUNS_UNKNOWN = 0;

/** One workflow for a whole audience. */
export function broadcastRoutes(app: App, services: Services): void {
  /** What begins work is refused and counted as triggers are. */
  const asTriggers = {
    onRequest: refuseQuarantined(services),
    onResponse: countRefused(services),
  };
  const begun = (request: FastifyRequest, broadcast: Broadcast) => {
    countAccepted(services, request, {
      workflowKey: broadcast.workflow_key,
      runs: broadcast.total ?? RUNS_UNKNOWN,
    });
    services.broadcasts?.wake();
    return broadcastAnswer(broadcast);
  };

  app.post(
    '/v1/broadcasts',
    {
      config: {
        errors: [
          'resource_missing',
          'workflow_missing',
          'workflow_inactive',
          'channel_invalid',
          'conflict',
        ],
      },
      ...asTriggers,
      schema: {
        description:
          'Runs the published workflow for a whole audience: it is frozen, a first slice goes ahead as the canary, then everybody else, each exactly once. With a `key` asking twice makes one.',
        tags,
        body: BroadcastBody,
        response: answers({ 201: BroadcastAnswer }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { body } = request;
      const { identify, ...shared } = parseShared(body);
      const { versionId } = await requireActive(
        services,
        ctx.environment.id,
        body.workflow,
        shared.data,
      );
      if (identify.length > 0) await identifyMany(ctx, identify);
      const broadcast = await createBroadcast(ctx, {
        ...shared,
        key: body.key,
        workflowKey: body.workflow,
        versionId,
        audience: body.audience ?? undefined,
        apiKeyId: callerOf(request.access)?.keyId,
        rate: body.rate ?? undefined,
        canarySize: body.canary?.size,
        canaryFailedShare: body.canary?.max_failed_share,
        starts: body.start ?? true,
      });
      return reply.status(201).send(begun(request, broadcast));
    },
  );

  app.get(
    '/v1/broadcasts',
    {
      schema: {
        description: 'Lists the broadcasts, the newest first, a page at a time.',
        tags,
        querystring: Type.Object(pageQuery),
        response: answers({
          200: Type.Object({ entries: Type.Array(BroadcastAnswer), page_info: PageInfo }),
        }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const page = await listBroadcasts(ctx, pageRequest(request.query));
      return reply.send({ entries: page.entries.map(broadcastAnswer), page_info: page.pageInfo });
    },
  );

  app.get(
    '/v1/broadcasts/:id',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'A broadcast with its progress.',
        tags,
        params: BroadcastParams,
        response: answers({ 200: BroadcastWithProgress }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const broadcast = await getBroadcast(ctx, request.params);
      const progress = await broadcastProgress(ctx, broadcast);
      return reply.send({ ...broadcastAnswer(broadcast), progress });
    },
  );

  verb('pause', 'Pauses: after the answer nothing more is sent.', pauseBroadcast);
  verb(
    'resume',
    'Goes on where it was paused; after a failed canary, with everybody else.',
    resumeBroadcast,
  );
  verb(
    'cancel',
    'Stops for good. When its state is `cancelled`, the list of who got it is final.',
    cancelBroadcast,
  );

  app.post(
    '/v1/broadcasts/:id/rate',
    {
      config: { errors: ['resource_missing', 'conflict'] },
      schema: {
        description: 'Sets how many recipients a second there may be, also while it is running.',
        tags,
        params: BroadcastParams,
        body: Type.Object({ rate: Rate }),
        response: answers({ 200: BroadcastAnswer }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { id } = request.params;
      const broadcast = await setBroadcastRate(ctx, { id, rate: request.body.rate });
      services.broadcasts?.wake();
      return reply.send(broadcastAnswer(broadcast));
    },
  );

  app.post(
    '/v1/broadcasts/:id/retry',
    {
      config: { errors: ['resource_missing', 'conflict'] },
      ...asTriggers,
      schema: {
        summary: 'Tries again for those who did not get it',
        description:
          'A new broadcast of the same to exactly those whose run failed or whose message could not be delivered.',
        tags,
        params: BroadcastParams,
        response: answers({ 201: BroadcastAnswer }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { id } = request.params;
      const apiKeyId = callerOf(request.access)?.keyId;
      const broadcast = await retryFailed(ctx, { id, ...(apiKeyId !== undefined && { apiKeyId }) });
      return reply.status(201).send(begun(request, broadcast));
    },
  );

  app.get(
    '/v1/broadcasts/:id/recipients',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description:
          'Everybody whom it was sent to, one JSON object a line (NDJSON) in the order of sending: `recipient`, `tenant`, `recipient_run_id`, `status`, `failed`.',
        tags,
        params: BroadcastParams,
        response: answers({ 200: Type.String({ contentMediaType: 'application/x-ndjson' }) }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const broadcast = await getBroadcast(ctx, request.params);
      return reply
        .header('content-type', 'application/x-ndjson; charset=utf-8')
        .send(Readable.from(recipientLines(ctx, broadcast)));
    },
  );

  function verb(
    name: 'pause' | 'resume' | 'cancel',
    description: string,
    change: (ctx: EnvironmentContext, input: { readonly id: string }) => Promise<Broadcast>,
  ): void {
    app.post(
      `/v1/broadcasts/:id/${name}`,
      {
        config: { errors: ['resource_missing', 'conflict'] },
        schema: {
          description,
          tags,
          params: BroadcastParams,
          response: answers({ 200: BroadcastAnswer }),
        },
      },
      async (request, reply) => {
        const ctx = environmentContext(services, request);
        const broadcast = await change(ctx, request.params);
        services.broadcasts?.wake();
        return reply.send(broadcastAnswer(broadcast));
      },
    );
  }
}

async function* recipientLines(ctx: EnvironmentContext, broadcast: Broadcast) {
  for await (const recipients of broadcastRecipients(ctx, broadcast)) {
    yield recipients.map((recipient) => `${JSON.stringify(recipient)}\n`).join('');
  }
}

function broadcastAnswer(broadcast: Broadcast) {
  const { source } = broadcast;
  return {
    __typename: 'Broadcast' as const,
    id: broadcast.public_id,
    key: broadcast.key,
    workflow: broadcast.workflow_key,
    audience: source.kind === 'failed' ? null : source.audience,
    retry_of: source.kind === 'failed' ? source.broadcast : null,
    tenant: broadcast.tenant,
    state: broadcast.state,
    reason: broadcast.reason,
    rate: broadcast.rate,
    canary: {
      size: broadcast.canary_size,
      max_failed_share: broadcast.canary_failed_share,
      state: broadcast.canary_state,
    },
    total: broadcast.total,
    created_at: broadcast.created_at.toISOString(),
    changed_at: broadcast.changed_at.toISOString(),
  };
}
