import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type {} from '@fastify/swagger';
import type { FastifyReply } from 'fastify';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

const builtPages = join(
  dirname(fileURLToPath(import.meta.url)),
  '..',
  '..',
  '..',
  '..',
  'web',
  'dist',
);

/**
 * What a page may load: itself, and nothing from elsewhere. Styles may be inline because Knock's
 * feed places its popover by style attributes; an avatar is wherever its user keeps it.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: https: http:",
  "font-src 'self'",
  // Older browsers do not count a socket to the own origin as 'self'.
  "connect-src 'self' ws: wss:",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-cache',
  'content-security-policy': contentSecurityPolicy,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
} as const;

/** The demo page at `/`, the viewer at `/dev/messages`, and their files under `/assets/`. */
export function pageRoutes(app: App, { config }: Services): void {
  // Without services only the API is described.
  if (config?.demo === false) return;
  registerPages(app, builtPages);
}

/** The same from any folder; without a build in it, the pages say how to make one. */
export function registerPages(app: App, directory: string): void {
  const built = existsSync(join(directory, 'index.html'));
  servePage(app, '/', readPage(directory, 'index.html'));
  servePage(app, '/dev/messages', readPage(directory, 'dev', 'messages', 'index.html'));
  // Where it was while it showed only e-mails.
  app.get(
    '/dev/mail',
    { config: { access: 'none' }, schema: { hide: true } },
    (_request, reply) => {
      reply.redirect('/dev/messages?type=email', 301);
    },
  );
  if (!built) return;

  const icon = readFileSync(join(directory, 'favicon.svg'));
  app.get(
    '/favicon.svg',
    { config: { access: 'none' }, schema: { hide: true } },
    (_request, reply) => {
      reply
        .header('content-type', 'image/svg+xml')
        .header('cache-control', 'public, max-age=86400')
        .header('x-content-type-options', 'nosniff')
        .send(icon);
    },
  );

  // In a plugin of its own, so that its `sendFile` does not meet the one of the API reference.
  app.register(async (assets) => {
    assets.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'none' };
      route.schema = { ...route.schema, hide: true };
    });
    await assets.register(fastifyStatic, {
      root: join(directory, 'assets'),
      prefix: '/assets/',
      index: false,
      // Names carry a hash of the content.
      immutable: true,
      maxAge: '1y',
      setHeaders: (reply) => {
        reply.header('x-content-type-options', 'nosniff');
      },
    });
  });
}

function readPage(...path: readonly string[]): Buffer | undefined {
  const file = join(...path);
  return existsSync(file) ? readFileSync(file) : undefined;
}

function servePage(app: App, path: string, page: Buffer | undefined): void {
  const handler = (_request: unknown, reply: FastifyReply) => {
    reply.headers(pageHeaders);
    if (page) reply.send(page);
    else reply.status(503).send(notBuilt);
  };
  app.get(path, { config: { access: 'none' }, schema: { hide: true } }, handler);
}

const notBuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Belfry: pages not built</title>
<style>body{font:1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1.5rem}code{font-family:ui-monospace,monospace}</style>
<h1>The web pages are not built yet</h1>
<p>The server runs, and so does the API. To see the demo and the message viewer, build the pages and start again:</p>
<pre><code>npm ci --include=dev
npm start</code></pre>
<p>The API reference is at <a href="/docs">/docs</a>.</p>
</html>
`;
