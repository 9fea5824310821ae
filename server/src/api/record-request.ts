import type { FastifyRequest } from 'fastify';
import type { App } from './route.ts';
import type { Services } from './services.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The text of the answer, from when it is known. */
    answered: string | undefined;
  }
}

/** Has requests of environments' keys recorded, after they were answered; what the server asks itself is none. */
export function registerRecorder(app: App, services: Services): void {
  const { recorder, canary } = services;
  if (!recorder) return;
  app.decorateRequest('answered', undefined);
  app.addHook('onSend', (request, _reply, payload, done) => {
    if (typeof payload === 'string') request.answered = payload;
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const caller = environmentOf(request);
    if (caller && caller.environment.accountId !== canary?.()?.accountId()) {
      recorder.record({
        id: request.id,
        accountId: caller.environment.accountId,
        environmentId: caller.environment.id,
        keyId: caller.keyId,
        method: request.method,
        route: request.routeOptions.url ?? '',
        url: request.url,
        status: reply.statusCode,
        durationMs: reply.elapsedTime,
        request: request.body,
        response: request.answered,
      });
    }
    done();
  });
}

function environmentOf({ access }: FastifyRequest) {
  return access?.kind === 'secret' || access?.kind === 'public' ? access : undefined;
}
