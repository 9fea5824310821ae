import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyReply } from 'fastify';
import type { App } from '../route.ts';

const document = join(import.meta.dirname, '..', '..', '..', 'openapi.json');
const pages = join(import.meta.dirname, '..', 'reference');

/** Swagger UI is only a folder of files to us: nothing of it is loaded before somebody looks. */
const swaggerUi = () =>
  join(dirname(fileURLToPath(import.meta.resolve('@fastify/swagger-ui'))), 'static');

const headers = {
  'cache-control': 'no-cache',
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

const html = 'text/html; charset=utf-8';
const css = 'text/css; charset=utf-8';
const script = 'text/javascript; charset=utf-8';

/** The API reference at `/docs`, and the document that it shows. */
export function referenceRoutes(app: App): void {
  serve(app, '/v1/openapi', 'application/json; charset=utf-8', () => document);
  serve(app, '/docs', html, () => join(pages, 'index.html'));
  serve(app, '/docs/', html, () => join(pages, 'index.html'));
  serve(app, '/docs/reference.css', css, () => join(pages, 'reference.css'));
  serve(app, '/docs/reference.js', script, () => join(pages, 'reference.js'));
  serve(app, '/docs/swagger-ui.css', css, () => join(swaggerUi(), 'swagger-ui.css'));
  serve(app, '/docs/swagger-ui.js', script, () => join(swaggerUi(), 'swagger-ui-bundle.js'));
}

function serve(app: App, path: string, type: string, file: () => string): void {
  app.get(path, { config: { access: 'none' }, schema: { hide: true } }, (_request, reply) =>
    sendFile(reply, type, file()),
  );
}

async function sendFile(reply: FastifyReply, type: string, file: string): Promise<FastifyReply> {
  const { size } = await stat(file);
  reply.headers(headers).header('content-type', type).header('content-length', size);
  return reply.send(createReadStream(file));
}
