import type { App } from './route.ts';

/**
 * Closes the connection of a client that takes nothing of its answer for `timeoutMs`, so that answers do
 * not gather in memory. A request that is still being worked on is left alone, however long that takes.
 */
export function cutOffSlowReaders(app: App, timeoutMs: number): void {
  // Node asks the answer under way, if there is one, what to do about a connection without activity.
  app.server.timeout = timeoutMs;
  app.addHook('onRequest', (_request, reply, done) => {
    reply.raw.on('timeout', (socket) => {
      if (socket.writableLength > 0) socket.destroy();
    });
    done();
  });
}
