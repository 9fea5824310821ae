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

/** The API reference shows nothing that anybody wrote but us, and talks to this server alone. */
const referencePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-cache',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
} as const;

/** The API reference at `/docs`, the demo page at `/`, the viewer at `/dev/messages`, and their files. */
export function pageRoutes(app: App, { config }: Services): void {
  // Without services only the API is described.
  registerPages(app, builtPages, { demo: config?.demo !== false });
}

/** The same from any folder; without a build in it, the pages say how to make one. */
export function registerPages(
  app: App,
  directory: string,
  { demo }: { readonly demo: boolean },
): void {
  const reference = readPage(directory, 'docs', 'index.html');
  servePage(app, '/docs', reference, referencePolicy);
  servePage(app, '/docs/', reference, referencePolicy);
  if (demo) demoPages(app, directory);
  if (existsSync(join(directory, 'index.html'))) serveFiles(app, directory);
}

function demoPages(app: App, directory: string): void {
  servePage(app, '/', readPage(directory, 'index.html'), contentSecurityPolicy);
  const viewer = readPage(directory, 'dev', 'messages', 'index.html');
  servePage(app, '/dev/messages', viewer, contentSecurityPolicy);
  // Where it was while it showed only e-mails.
  app.get(
    '/dev/mail',
    { config: { access: 'none' }, schema: { hide: true } },
    (_request, reply) => {
      reply.redirect('/dev/messages?type=email', 301);
    },
  );
}

/** What the pages load. */
function serveFiles(app: App, directory: string): void {
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

  // In a plugin of its own, for the hook that opens its routes to everybody.
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

function servePage(app: App, path: string, page: Buffer | undefined, policy: string): void {
  const handler = (_request: unknown, reply: FastifyReply) => {
    reply.headers({ ...pageHeaders, 'content-security-policy': policy });
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
<p>The server runs, and so does the API. To see the demo, the message viewer and the API reference, build the pages and start again:</p>
<pre><code>npm ci --include=dev
npm start</code></pre>
<p>The API as OpenAPI 3.1 is at <a href="/v1/openapi">/v1/openapi</a>.</p>
</html>
`;
