#!/usr/bin/env -S node --max-semi-space-size=8 --heap-growing-percent=100 --v8-pool-size=1
// Starts the CLI under a Node that runs its TypeScript. npm scripts and npx put the Node that npm
// installed first on the path; started in another way, an older one only passes on to it. This file
// is all that the older one (20 or newer) has to understand. The flags: ../src/lib/node-flags.ts.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED_MAJOR = 24;
const here = dirname(fileURLToPath(import.meta.url));

if (Number.parseInt(process.versions.node, 10) >= NEEDED_MAJOR) await run();
else passOn();

async function run() {
  // Executors are processes of their own and find the cache by this variable.
  process.env.NODE_COMPILE_CACHE ??= join(here, '../../node_modules/.cache/belfry');
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
  silenceTypeStripping();
  const { main } = await import('../src/cli/main.ts');
  await main(process.argv.slice(2));
}

/** Node says once that type stripping is experimental; that is no news for an operator. */
function silenceTypeStripping() {
  const show = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'ExperimentalWarning' && /type stripping/i.test(warning.message)) return;
    for (const listener of show) listener.call(process, warning);
  });
}

function passOn() {
  const node = findNode();
  if (!node) {
    process.stderr.write(
      `Belfry needs Node ${NEEDED_MAJOR}, and this is ${process.version} without the one that npm ` +
        'installs beside it. Run `npm ci` without --omit=optional, or start it with a newer Node.\n',
    );
    process.exit(1);
  }
  // The channel tells the child when this process is gone, kill -9 included.
  const program = [...process.execArgv, fileURLToPath(import.meta.url)];
  const child = spawn(node, [...program, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    process.stderr.write(`${node} cannot be started: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
}

function findNode() {
  try {
    const name = `node-${process.platform}-${process.arch}/package.json`;
    const path = join(dirname(module.createRequire(import.meta.url).resolve(name)), 'bin/node');
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}
