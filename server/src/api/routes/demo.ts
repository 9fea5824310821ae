import type { FastifyRequest } from 'fastify';
import { DEMO_ACCOUNT } from '../../accounts/bootstrap.ts';
import { findEnvironment } from '../../accounts/environments.ts';
import { isForwarded, isLoopbackHost } from '../../channels/viewer.ts';
import type { Database } from '../../db/database.ts';
import { BelfryError, invalidField } from '../../lib/errors.ts';
import { isJsonObject } from '../../lib/json.ts';
import type { App } from '../route.ts';
import type { DemoAccount, Services } from '../services.ts';
import { triggerWorkflow } from '../trigger-workflow.ts';

/** Who is signed in on the demo page. */
const demoUser = { id: 'mara', name: 'Mara Velasco', email: 'mara@example.com' } as const;

const WORKFLOW_LIMIT = 50;

/**
 * What the demo page at `/` needs: who it is, and a way to trigger workflows for its own user. That
 * asks for no key, so it exists only on a server that nobody but this machine reaches.
 */
export function demoRoutes(app: App, services: Services): void {
  const onRequest = async (request: FastifyRequest) => {
    requireDemo(services, request);
  };
  const options = { config: { access: 'none' }, onRequest, schema: { hide: true } } as const;

  app.get('/dev/demo.json', options, async (request, reply) => {
    const { publicKey, channels } = requireDemo(services, request);
    const environment = await findEnvironment(services.db, `${DEMO_ACCOUNT}/development`);
    return reply.header('cache-control', 'no-store').send({
      public_key: publicKey,
      channels,
      user: demoUser,
      workflows: await publishedWorkflows(services.db, environment.id),
    });
  });

  app.post('/dev/demo/trigger', options, async (request, reply) => {
    const { workflow, actor, data } = readBody(request.body);
    const environment = await findEnvironment(services.db, `${DEMO_ACCOUNT}/development`);
    const { db, clock, log } = services;
    const { answer } = await triggerWorkflow(
      services,
      { db, clock, log, environment },
      {
        workflowKey: workflow,
        body: {
          recipients: [demoUser],
          actor: { id: actor.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'), name: actor },
          data,
        },
      },
    );
    if (answer.kind === 'conflict') throw new Error('a trigger without a key cannot conflict');
    return reply.header('cache-control', 'no-store').send({
      workflow_run_id: answer.workflowRunId,
    });
  });
}

function requireDemo({ config, demo }: Services, request: FastifyRequest): DemoAccount {
  if (!config.demo) throw new BelfryError('demo_off', 'The demo is turned off (BELFRY_DEMO).');
  if (!isLoopbackHost(config.host)) {
    throw new BelfryError(
      'demo_off',
      `This server listens on ${config.host}, where others may reach it.`,
    );
  }
  if (isForwarded(request.headers)) {
    throw new BelfryError('demo_off', 'The demo does not answer through a proxy.');
  }
  // A page of somebody else's may neither reach this endpoint from another origin, nor by a name
  // of its own that points to this machine.
  const { origin } = request.headers;
  if (!isLoopbackHost(request.hostname) || (origin && originHost(origin) !== request.host)) {
    throw new BelfryError(
      'demo_off',
      'The demo answers its own page only, at localhost or 127.0.0.1.',
    );
  }
  if (demo) return demo;
  throw new BelfryError(
    'demo_off',
    `This server does not have the keys of the account ${DEMO_ACCOUNT}: its data dir has no credentials.json.`,
  );
}

function originHost(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).host : '';
}

function readBody(body: unknown) {
  if (!isJsonObject(body)) throw invalidField('body', 'must be a JSON object');
  const { workflow, actor, data } = body;
  if (typeof workflow !== 'string') throw invalidField('workflow', 'must be a string');
  if (typeof actor !== 'string' || !/[a-z0-9]/i.test(actor)) {
    throw invalidField('actor', 'must be a name');
  }
  if (!isJsonObject(data)) throw invalidField('data', 'must be an object');
  return { workflow, actor, data };
}

function publishedWorkflows(db: Database, environmentId: number) {
  return db.query<{ readonly key: string; readonly name: string }>(
    `select w.key, coalesce(v.content ->> 'name', w.key) as name
    from workflow w
    join workflow_version v on v.id = w.published_version_id
    where w.environment_id = $1
      and w.active
    order by w.key
    limit $2`,
    [environmentId, WORKFLOW_LIMIT],
  );
}
