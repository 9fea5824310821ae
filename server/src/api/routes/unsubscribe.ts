import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { BelfryError } from '../../lib/errors.ts';
import type { Subscriber } from '../../recipients/subscriber-tokens.ts';
import { UNSUBSCRIBE_PATH, unsubscribe } from '../../recipients/unsubscribe.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

const MAX_BODY = 10_000;

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
} as const;

/**
 * Where the links of commercial e-mails lead. Reading asks only, for mail scanners follow links; posting
 * unsubscribes, also from the button of a mail program (RFC 8058).
 */
export function unsubscribeRoutes(app: App, services: Services): void {
  const schema = { hide: true, params: Type.Object({ token: Type.String() }) };
  const options = { config: { access: 'none' }, schema } as const;
  const subscriberOf = (token: string): Subscriber => {
    const subscriber = services.unsubscribeTokens?.verify(token);
    if (subscriber) return subscriber;
    throw new BelfryError(
      'resource_missing',
      'This unsubscribe link is not one of ours, or not whole; open it from the e-mail again',
    );
  };

  void app.register(async (scope) => {
    // RFC 8058 has one form field, which says nothing that the path does not.
    scope.addContentTypeParser(
      ['application/x-www-form-urlencoded', 'multipart/form-data'],
      { parseAs: 'buffer', bodyLimit: MAX_BODY },
      (_request, _body, done) => done(null, {}),
    );

    scope.get(`${UNSUBSCRIBE_PATH}/:token`, options, async (request, reply) => {
      subscriberOf((request.params as { token: string }).token);
      return page(
        reply,
        'Unsubscribe?',
        '<p>You will get no more marketing messages.</p><form method="post"><button>Unsubscribe</button></form>',
      );
    });

    scope.post(`${UNSUBSCRIBE_PATH}/:token`, options, async (request, reply) => {
      const subscriber = subscriberOf((request.params as { token: string }).token);
      await unsubscribe(services.db, subscriber);
      return page(reply, 'You are unsubscribed', '<p>You will get no more marketing messages.</p>');
    });
  });
}

function page(reply: FastifyReply, title: string, body: string): FastifyReply {
  return reply
    .headers(headers)
    .send(
      `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:28rem;padding:0 1rem;text-align:center}button{font:inherit;padding:.5rem 1.5rem}</style><h1>${title}</h1>${body}</html>`,
    );
}
