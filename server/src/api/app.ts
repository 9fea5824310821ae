import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify from 'fastify';
import { timeOrderedUuid } from '../lib/uuid.ts';
import { registerAccess } from './access.ts';
import { BODY_LIMIT_BYTES, bodyText, bodyTooLarge, parseBody } from './body.ts';
import { chargeBody, registerBudget } from './budget.ts';
import { registerCors } from './cors.ts';
import { answerError, answerUnknownPath, answerUnreadableRequest } from './error-answer.ts';
import { queryFailure, readQuery } from './query.ts';
import { registerRecorder } from './record-request.ts';
import type { App } from './route.ts';
import { routes } from './routes/index.ts';
import type { Services } from './services.ts';
import { cutOffSlowReaders } from './slow-readers.ts';
import { compileValidator } from './validation.ts';

/** How long a client may take to send a request, a slow one with 10 MB included. */
const REQUEST_TIMEOUT_MS = 120_000;

const HEADER_BYTES = 64 * 1024;

/** How long a client may take nothing of its answer. */
const READ_TIMEOUT_MS = 60_000;

/** The whole HTTP side of the server, without a port: call `listen` or, in tests, `inject`. */
export function buildApp(services: Services): App {
  const app = createApp(services);
  addRoutes(app, services);
  return app;
}

export function addRoutes(app: App, services: Services): void {
  for (const register of routes) register(app, services);
}

/** The app without routes: for whoever must see them being added. */
export function createApp(services: Services): App {
  const app: App = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    forceCloseConnections: 'idle',
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: {
      // A thousand ids in a query, which is how tenants are deleted in bulk.
      maxHeaderSize: HEADER_BYTES,
      // Clients may offer other protocols beside HTTP/1.1 (Java's offers `h2c`); those are ignored.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
    },
    clientErrorHandler: answerUnreadableRequest,
    genReqId: () => timeOrderedUuid(services.clock.now()),
    routerOptions: {
      // 256 characters of an id, percent-encoded, in one path segment.
      maxParamLength: 4_096,
      querystringParser: readQuery,
    },
    frameworkErrors: (error, request, reply) => {
      answerError(services, error, request, reply);
    },
    exposeHeadRoutes: false,
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    /^application\/(?:[\w.-]+\+)?json\b/i,
    { parseAs: 'buffer' },
    (request, bytes, done) => {
      chargeBody(services, request, bytes.length);
      try {
        done(null, parseBody(bodyText(bytes, request.headers['content-encoding'])));
      } catch (error) {
        done(error instanceof Error ? error : new Error('unreadable body'));
      }
    },
  );

  app.setValidatorCompiler(compileValidator);
  // Answers are serialised as they are: a response schema documents, it never drops a field.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler((error, request, reply) => answerError(services, error, request, reply));
  app.setNotFoundHandler(answerUnknownPath);

  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done(queryFailure(request.query));
  });
  cutOffSlowReaders(app, READ_TIMEOUT_MS);
  registerCors(app);
  registerAccess(app, services);
  app.addHook('onRequest', (request, _reply, done) => {
    done(bodyTooLarge(request.headers['content-length']));
  });
  registerBudget(app, services);
  registerRecorder(app, services);
  return app;
}
