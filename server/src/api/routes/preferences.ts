import { Type } from 'typebox';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import type { PreferencePart } from '../../recipients/preference-layers.ts';
import { parsePreferencePart, parsePreferences } from '../../recipients/preference-set.ts';
import {
  getPreferences,
  listPreferences,
  setPreferences,
  unsetPreferences,
} from '../../recipients/preferences.ts';
import { parseId } from '../../recipients/reference.ts';
import { environmentContext, tenantScopeOf } from '../access.ts';
import { PreferenceSet } from '../preference-schemas.ts';
import type { App } from '../route.ts';
import { answers, NoContent, PreferenceSetRequest } from '../schemas.ts';
import type { Services } from '../services.ts';
import { isSetInScope, requireSetInScope } from '../tenant-scope.ts';
import { type RecipientOwner, recipientOwners } from './recipient-owner.ts';

export function preferenceRoutes(app: App, services: Services): void {
  for (const owner of recipientOwners) {
    setRoutes(app, services, owner);
    partRoutes(app, services, owner);
  }
}

type Params = { readonly [name: string]: string };

function setRoutes(app: App, services: Services, owner: RecipientOwner): void {
  const tags = [owner.tag, 'Preferences'];
  const read = { access: owner.access, capability: 'preferences/read' } as const;
  const write = { access: owner.access, capability: 'preferences/write' } as const;
  const setParams = Type.Object({
    ...owner.params,
    set_id: Type.String({ description: '`default`, or the id of a tenant.' }),
  });
  const setKey = (params: Params) => ({
    ...owner.key(params),
    setId: parseId(params.set_id, 'set_id'),
  });

  app.get(
    `${owner.path}/preferences`,
    {
      config: read,
      schema: {
        description: 'Lists the preference sets, each resolved over the defaults.',
        tags,
        params: Type.Object(owner.params),
        response: answers({ 200: Type.Array(PreferenceSet) }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const scope = tenantScopeOf(request, read.capability);
      const sets = await listPreferences(ctx, owner.key(request.params as Params));
      return reply.send(sets.filter(({ id }) => isSetInScope(id, scope)));
    },
  );

  app.get(
    `${owner.path}/preferences/:set_id`,
    {
      config: read,
      schema: {
        description: 'Reads a preference set, resolved over the defaults.',
        tags,
        params: setParams,
        querystring: Type.Object({ tenant: Type.Optional(Type.String()) }),
        response: answers({ 200: PreferenceSet }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const key = setKey(request.params as Params);
      const tenant = request.query.tenant || undefined;
      const scope = tenantScopeOf(request, read.capability);
      if (tenant !== undefined) requireSetInScope(tenant, scope);
      if (tenant === undefined || key.setId !== 'default') requireSetInScope(key.setId, scope);
      return reply.send(await getPreferences(ctx, { ...key, tenant }));
    },
  );

  app.put(
    `${owner.path}/preferences/:set_id`,
    {
      config: write,
      schema: {
        description:
          'Replaces a preference set, or merges into it with `"__persistence_strategy__": "merge"`.',
        tags,
        params: setParams,
        body: PreferenceSetRequest,
        response: answers({ 200: PreferenceSet }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const key = setKey(request.params as Params);
      requireSetInScope(key.setId, tenantScopeOf(request, write.capability));
      const set = await setPreferences(ctx, {
        ...key,
        preferences: parsePreferences(request.body, ''),
        strategy: request.body.__persistence_strategy__ ?? 'replace',
      });
      return reply.send(set);
    },
  );

  app.delete(
    `${owner.path}/preferences/:set_id`,
    {
      schema: {
        description: 'Removes a preference set: the defaults apply again.',
        tags,
        params: setParams,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await unsetPreferences(
        environmentContext(services, request),
        setKey(request.params as Params),
      );
      return reply.status(204).send();
    },
  );
}

/** Deprecated but still called by Knock's client: one part, or one entry of a part. */
function partRoutes(app: App, services: Services, owner: RecipientOwner): void {
  const tags = [owner.tag, 'Preferences'];
  const config = { access: owner.access, capability: 'preferences/write' } as const;
  const params = Type.Object({ ...owner.params, set_id: Type.String() });
  const entryParams = Type.Object({ ...owner.params, set_id: Type.String(), key: Type.String() });

  for (const part of ['workflows', 'categories', 'channel_types'] as const) {
    const mergePart = async (
      request: Parameters<typeof environmentContext>[1],
      value: unknown,
    ): Promise<object> => {
      const requestParams = request.params as Params;
      const setId = parseId(requestParams.set_id, 'set_id');
      requireSetInScope(setId, tenantScopeOf(request, config.capability));
      return setPreferences(environmentContext(services, request), {
        ...owner.key(requestParams),
        setId,
        preferences: parsePreferencePart(part, value),
        strategy: 'merge',
      });
    };

    app.put(
      `${owner.path}/preferences/:set_id/${part}`,
      {
        config,
        schema: {
          summary: `Merges the \`${part}\` of a preference set`,
          description: `Deprecated. Merges the \`${part}\` of a preference set; the body is the map.`,
          deprecated: true,
          tags,
          params,
          body: Type.Object({}, { additionalProperties: true }),
          response: answers({ 200: PreferenceSet }),
        },
      },
      async (request, reply) => reply.send(await mergePart(request, request.body)),
    );

    app.put(
      `${owner.path}/preferences/:set_id/${part}/:key`,
      {
        config,
        schema: {
          summary: `Sets one of the \`${part}\` of a preference set`,
          description: `Deprecated. Sets one of the \`${part}\` of a preference set.`,
          deprecated: true,
          tags,
          params: entryParams,
          body: Type.Object(
            { subscribed: Type.Optional(Type.Boolean()) },
            { additionalProperties: true },
          ),
          response: answers({ 200: PreferenceSet }),
        },
      },
      async (request, reply) => {
        const { key = '' } = request.params as Params;
        return reply.send(await mergePart(request, { [key]: entrySetting(part, request.body) }));
      },
    );
  }
}

/** `{subscribed: true}` or a settings object. */
function entrySetting(part: PreferencePart, body: unknown): boolean | JsonObject {
  if (!isJsonObject(body)) return {};
  if (typeof body.subscribed === 'boolean') return body.subscribed;
  const { subscribed: _, ...settings } = body;
  return part === 'channel_types' ? { conditions: settings.conditions ?? null } : settings;
}
