import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { findEnvironmentById } from '../../accounts/environments.ts';
import type { EnvironmentContext } from '../../context.ts';
import { readAccountFace } from '../../control/branding.ts';
import { BelfryError } from '../../lib/errors.ts';
import {
  centerAsShown,
  PREFERENCES_PATH,
  type PreferenceCenter,
} from '../../recipients/preference-center.ts';
import { changesOf, toggleRows } from '../../recipients/preference-toggles.ts';
import { getPreferences, mergeKnownPreferences } from '../../recipients/preferences.ts';
import { getRecipient, type RecipientRow } from '../../recipients/recipient.ts';
import { preferencePage, unknownLinkPage } from '../preference-page.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

/** A page of 100 rows with all channel types, all on, sends 34 kB. */
const MAX_BODY = 64 * 1024;

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; img-src https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
} as const;

type Visit = {
  readonly ctx: EnvironmentContext;
  readonly user: RecipientRow;
  readonly center: PreferenceCenter;
};

/**
 * The preference center: a form with a switch for each thing, good without scripts. Its link is the permission; the
 * only things that it lets anybody see or change are the rows of the center, of the user's default set.
 */
export function preferencePageRoutes(app: App, services: Services): void {
  const schema = { hide: true, params: Type.Object({ token: Type.String() }) };
  const options = { config: { access: 'none' }, schema } as const;

  const visit = async (token: string): Promise<Visit> => {
    const subscriber = services.preferenceTokens?.verify(token);
    if (!subscriber) throw unknownLink();
    const environment = await findEnvironmentById(services.db, subscriber.environmentId);
    if (!environment) throw unknownLink();
    const { clock, log, budgets } = services;
    const db = budgets.database.of(environment.accountId);
    const ctx = { db, clock, log, environment };
    const user = await getRecipient(ctx, subscriber);
    return { ctx, user, center: centerAsShown(environment.settings) };
  };

  const answer = async (
    reply: FastifyReply,
    { ctx, user, center }: Visit,
    saved?: 'changed' | 'same',
  ): Promise<FastifyReply> => {
    const [preferences, account] = await Promise.all([
      getPreferences(ctx, { ...user, setId: 'default' }),
      readAccountFace(ctx.db, ctx.environment.accountId),
    ]);
    const { email } = user.properties;
    return reply.headers(headers).send(
      preferencePage({
        config: center.config,
        rows: toggleRows(center.config, preferences),
        account,
        user: typeof email === 'string' ? email : user.id,
        saved,
      }),
    );
  };

  void app.register(async (scope) => {
    scope.setErrorHandler((error, _request, reply) => {
      // The app answers everything else.
      if (!(error instanceof BelfryError) || error.code !== 'resource_missing') throw error;
      return reply.status(error.status).headers(headers).send(unknownLinkPage());
    });
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: MAX_BODY },
      (_request, body, done) => done(null, String(body)),
    );

    scope.get(`${PREFERENCES_PATH}/:token`, options, async (request, reply) =>
      answer(reply, await visit((request.params as { token: string }).token)),
    );

    scope.post(`${PREFERENCES_PATH}/:token`, options, async (request, reply) => {
      const visited = await visit((request.params as { token: string }).token);
      const { ctx, user, center } = visited;
      const sent = new URLSearchParams(typeof request.body === 'string' ? request.body : '');
      const preferences = await getPreferences(ctx, { ...user, setId: 'default' });
      const changes = changesOf(toggleRows(center.config, preferences), preferences, {
        on: new Set(sent.getAll('on')),
        wasOn: new Set(sent.getAll('was_on')),
      });
      if (changes) {
        const { collection, id } = user;
        const write = { collection, id, setId: 'default', preferences: changes };
        await mergeKnownPreferences(ctx, write);
      }
      return answer(reply, visited, changes ? 'changed' : 'same');
    });
  });
}

function unknownLink(): BelfryError {
  return new BelfryError(
    'resource_missing',
    'This link to preferences was not signed here, is not whole, or is of an environment that is gone',
  );
}
