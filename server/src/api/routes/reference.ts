import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { App } from '../route.ts';

const document = join(import.meta.dirname, '..', '..', '..', 'openapi.json');

/** The API as OpenAPI 3.1; the page at `/docs` shows it. */
export function referenceRoutes(app: App): void {
  app.get(
    '/v1/openapi',
    { config: { access: 'none' }, schema: { hide: true } },
    async (_request, reply) => {
      const { size } = await stat(document);
      reply.header('content-type', 'application/json; charset=utf-8');
      reply.header('content-length', size).header('cache-control', 'no-cache');
      reply.header('x-content-type-options', 'nosniff');
      return reply.send(createReadStream(document));
    },
  );
}
