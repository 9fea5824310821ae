import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { registerPages } from '../../src/api/routes/pages.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belfry-pages-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

async function fillDirectory(): Promise<void> {
  await mkdir(join(directory, 'assets'));
  await mkdir(join(directory, 'dev', 'messages'), { recursive: true });
  await mkdir(join(directory, 'docs'));
  await writeFile(join(directory, 'index.html'), 'the demo');
  await writeFile(join(directory, 'docs', 'index.html'), 'the reference');
  await writeFile(join(directory, 'dev', 'messages', 'index.html'), 'the viewer');
  await writeFile(join(directory, 'favicon.svg'), '<svg/>');
  await writeFile(join(directory, 'assets', 'demo-abc.js'), 'let x');
  await writeFile(join(directory, '.source-hash'), 'not for anybody');
}

function serve(demo = true) {
  const app = fastify().withTypeProvider<TypeBoxTypeProvider>();
  registerPages(app, directory, { demo });
  return app;
}

test('pages are revalidated, may load only from here and cannot be framed', async () => {
  await fillDirectory();
  const app = serve();
  for (const [path, body] of [
    ['/', 'the demo'],
    ['/dev/messages', 'the viewer'],
    ['/docs', 'the reference'],
    ['/docs/', 'the reference'],
  ]) {
    const response = await app.inject(path ?? '');
    expect(response.statusCode).toBe(200);
    expect(response.body).toBe(body);
    expect(response.headers['cache-control']).toBe('no-cache');
    expect(response.headers['content-security-policy']).toContain("default-src 'none'");
    expect(response.headers['content-security-policy']).toContain("frame-ancestors 'none'");
  }
  await app.close();
});

test('without the demo the API reference and its files are left', async () => {
  await fillDirectory();
  const app = serve(false);
  for (const path of ['/docs', '/assets/demo-abc.js', '/favicon.svg']) {
    expect((await app.inject(path)).statusCode, path).toBe(200);
  }
  for (const path of ['/', '/dev/messages', '/dev/mail']) {
    expect((await app.inject(path)).statusCode, path).toBe(404);
  }
  await app.close();
});

test('the viewer is found where it was while it showed only e-mails', async () => {
  await fillDirectory();
  const app = serve();
  const response = await app.inject('/dev/mail');
  expect([response.statusCode, response.headers.location]).toEqual([
    301,
    '/dev/messages?type=email',
  ]);
  await app.close();
});

test('hashed files are kept for ever', async () => {
  await fillDirectory();
  const app = serve();
  const response = await app.inject('/assets/demo-abc.js');
  expect(response.body).toBe('let x');
  expect(response.headers['cache-control']).toBe('public, max-age=31536000, immutable');
  expect(response.headers['content-type']).toContain('javascript');
  await app.close();
});

test('nothing else of the folder is served', async () => {
  await fillDirectory();
  const app = serve();
  for (const path of [
    '/.source-hash',
    '/index.html',
    '/assets/',
    '/assets/..%2f.source-hash',
    '/assets/../index.html',
    '/v1/users/x',
    '/docs/index.html',
  ]) {
    const response = await app.inject(path);
    expect(response.statusCode, path).toBeGreaterThanOrEqual(400);
  }
  await app.close();
});

test('without a build the pages say how to make one', async () => {
  const app = serve();
  const response = await app.inject('/');
  expect(response.statusCode).toBe(503);
  expect(response.body).toContain('npm ci --include=dev');
  await app.close();
});
