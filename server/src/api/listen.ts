import { createServer } from 'node:net';
import type { Config } from '../config.ts';
import { StartError, systemErrorCode } from '../db/start-error.ts';
import type { App } from './route.ts';

type Address = Pick<Config, 'host' | 'port'>;

/** Takes the configured port, or throws the StartError that names it. */
export async function listen(app: App, { host, port }: Address): Promise<void> {
  try {
    await app.listen({ port, host });
  } catch (error) {
    throw explain(error, { host, port });
  }
}

/** Takes the configured port for a moment: for a start that would make things before it listens. */
export async function expectFreePort({ host, port }: Address): Promise<void> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject);
      probe.listen({ port, host }, resolve);
    });
  } catch (error) {
    throw explain(error, { host, port });
  }
  await new Promise((resolve) => probe.close(resolve));
}

function explain(error: unknown, { host, port }: Address): unknown {
  const code = systemErrorCode(error);
  if (code === 'EADDRINUSE') {
    return new StartError(
      `Port ${port} on ${host} is taken; stop what uses it, or set BELFRY_PORT to another port.`,
    );
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL') {
    return new StartError(
      `Cannot listen on ${host}:${port} (${code}); set BELFRY_HOST and BELFRY_PORT to an address of this machine.`,
    );
  }
  return error;
}
