import { Type } from 'typebox';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

const Readiness = Type.Object({
  ready: Type.Boolean(),
  parts: Type.Record(
    Type.String(),
    Type.Object({ state: Type.String(), reason: Type.Optional(Type.String()) }),
  ),
});

/** What a supervisor and Prometheus ask. */
export function healthRoutes(app: App, services: Services): void {
  app.get(
    '/healthz',
    {
      config: { access: 'none' },
      exposeHeadRoute: true,
      schema: {
        description: 'Answers 200 as long as the process is alive.',
        tags: ['Operation'],
        response: { 200: Type.Object({ status: Type.Literal('ok') }) },
      },
    },
    (_request, reply) => {
      reply.send({ status: 'ok' });
    },
  );

  app.get(
    '/readyz',
    {
      config: { access: 'none' },
      exposeHeadRoute: true,
      schema: {
        description: 'Answers 200 when every part is up, else 503; names each part and its state.',
        tags: ['Operation'],
        response: { 200: Readiness, 503: Readiness },
      },
    },
    (_request, reply) => {
      const readiness = services.readiness();
      reply.status(readiness.ready ? 200 : 503).send(readiness);
    },
  );

  app.get(
    '/metrics',
    {
      config: { access: 'none' },
      schema: {
        description: 'Metrics in the text format of Prometheus.',
        tags: ['Operation'],
        response: { 200: Type.String({ contentMediaType: 'text/plain' }) },
      },
    },
    async (_request, reply) => {
      const text = await services.metrics.metrics();
      reply.header('content-type', services.metrics.contentType);
      return reply.send(text);
    },
  );
}
