import type { FastifyRequest } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import { readInteractionMetadata } from '../../feed/message-status.ts';
import {
  type EngagementKind,
  type EngagementScope,
  engagementKinds,
  markGuideStep,
  resetGuide,
  unarchiveGuide,
} from '../../guides/engagement.ts';
import { listGuides } from '../../guides/list-guides.ts';
import { parseId } from '../../recipients/reference.ts';
import { environmentContext, tenantScopeOf } from '../access.ts';
import { dataParameter, tenantOf } from '../guide-join.ts';
import type { App } from '../route.ts';
import { answers, Nullable, openObject, UserParams } from '../schemas.ts';
import type { Services } from '../services.ts';
import { requireTenantInScope } from '../tenant-scope.ts';

const Time = Type.String({ format: 'date-time' });
const Directive = Type.String({ enum: ['allow', 'block'] });

const Message = Type.Object(
  {
    id: Nullable(Type.String()),
    seen_at: Nullable(Time),
    read_at: Nullable(Time),
    interacted_at: Nullable(Time),
    archived_at: Nullable(Time),
    link_clicked_at: Nullable(Time),
  },
  { description: 'What the user did with the step, in the tenant that was asked for.' },
);

const Guide = Type.Object(
  {
    __typename: Type.Literal('Guide'),
    id: Type.String({ format: 'uuid' }),
    channel_id: Type.String({ format: 'uuid' }),
    key: Type.String(),
    type: Type.String(),
    semver: Type.String(),
    active: Type.Boolean(),
    bypass_global_group_limit: Type.Boolean(),
    activation_url_rules: Type.Array(
      Type.Object({
        directive: Directive,
        variable: Type.String(),
        operator: Type.String({ enum: ['equal_to', 'contains'] }),
        argument: Type.String(),
      }),
    ),
    activation_url_patterns: Type.Array(
      Type.Object({
        directive: Directive,
        pathname: Type.Optional(Type.String()),
        search: Type.Optional(Type.String()),
      }),
    ),
    steps: Type.Array(
      Type.Object({
        ref: Type.String(),
        schema_key: Type.String(),
        schema_semver: Type.String(),
        schema_variant_key: Type.String(),
        content: Type.Record(Type.String(), Type.Unknown()),
        message: Message,
      }),
    ),
    inserted_at: Time,
    updated_at: Time,
  },
  { description: 'A guide, rendered for the user, with what the user did with its steps.' },
);

const Group = Type.Object({
  __typename: Type.Literal('GuideGroup'),
  key: Type.String(),
  display_sequence: Type.Array(Type.String()),
  display_sequence_unthrottled: Type.Array(Type.String()),
  display_sequence_throttled: Type.Array(Type.String()),
  display_interval: Type.Optional(
    Type.Integer({ description: 'Seconds between two guides; absent: no pause.' }),
  ),
  inserted_at: Time,
  updated_at: Time,
});

export const Guides = Type.Object({
  entries: Type.Array(Guide),
  guide_groups: Type.Array(Group),
  guide_group_display_logs: Type.Record(Type.String(), Type.String()),
  ineligible_guides: Type.Array(
    Type.Object({
      __typename: Type.Literal('GuideIneligibilityMarker'),
      key: Type.String(),
      reason: Type.Enum([
        'guide_not_active',
        'marked_as_archived',
        'target_conditions_not_met',
        'not_in_target_audience',
      ]),
      message: Type.String(),
    }),
  ),
});

export const GuideActionAnswer = Type.Object({ status: Type.Literal('ok') });

const Tenant = Type.Optional(
  Nullable(Type.String({ description: 'What is done in a tenant is done in it only.' })),
);

const Step = {
  channel_id: Type.String({ description: 'The channel of the guide.' }),
  guide_id: Type.String({ description: 'Of the guide as it was answered; the key names it.' }),
  guide_key: Type.String(),
  guide_step_ref: Type.String(),
  tenant: Tenant,
};

const bodies = {
  seen: Type.Object(
    {
      ...Step,
      content: Type.Object({}, { ...openObject, description: 'What the user saw; not kept.' }),
      data: Type.Optional(Nullable(Type.Object({}, openObject))),
    },
    openObject,
  ),
  interacted: Type.Object(
    {
      ...Step,
      metadata: Type.Optional(
        Nullable(Type.Object({}, { ...openObject, description: 'At most five flat values.' })),
      ),
    },
    openObject,
  ),
  archived: Type.Object(
    {
      ...Step,
      is_final: Type.Optional(
        Nullable(Type.Boolean({ description: 'The guide ends here, whatever steps are left.' })),
      ),
      unthrottled: Type.Optional(
        Nullable(Type.Boolean({ description: 'Opens no throttle window of the group.' })),
      ),
    },
    openObject,
  ),
} satisfies { readonly [kind in EngagementKind]: TSchema };

const descriptions: { readonly [kind in EngagementKind]: string } = {
  seen: 'Records that a user has seen a step of a guide. The first time stays.',
  interacted: 'Records that a user did something with a step of a guide, which is then read too.',
  archived:
    'Records that a user dismissed a step of a guide; from then on the group keeps its pace.',
};

const UserAndMessage = Type.Object({ ...UserParams.properties, message_id: Type.String() });

const OfGuide = Type.Object({ guide_key: Type.String(), tenant: Tenant }, openObject);

/** In-product guides of a user: which to show, and what was done with them. */
export function guideRoutes(app: App, services: Services): void {
  app.get(
    '/v1/users/:user_id/guides/:channel_id',
    {
      config: {
        access: 'public',
        capability: 'user/guide_read',
        errors: ['resource_missing', 'channel_invalid'],
      },
      schema: {
        summary: 'Lists the guides that a user is to see',
        description:
          'Lists the guides of a channel that a user is to see, in the order in which they are shown, and why others are not to be seen. Everybody starts with all guides unseen, unknown users too.',
        tags: ['Guides'],
        params: Type.Object({
          ...UserParams.properties,
          channel_id: Type.String({ description: 'The id of a channel for guides.' }),
        }),
        querystring: Type.Object(
          {
            tenant: Type.Optional(Type.String()),
            data: Type.Optional(
              Type.String({ description: 'For conditions and templates: an object as JSON.' }),
            ),
            type: Type.Optional(Type.String({ description: 'Only guides of this type.' })),
            force_all_guides: Type.Optional(
              Type.String({ description: '`true`: also those that the user is not to see.' }),
            ),
          },
          openObject,
        ),
        response: answers({ 200: Guides }),
      },
    },
    async (request, reply) => {
      const { data, type, force_all_guides: force } = request.query;
      const tenant = tenantOf(request.query.tenant);
      requireTenantInScope(tenant, tenantScopeOf(request, 'user/guide_read'));
      const answer = await listGuides(environmentContext(services, request), {
        catalogs: services.guides,
        channelId: request.params.channel_id,
        viewer: {
          userId: parseId(request.params.user_id, 'user_id'),
          tenant,
          data: dataParameter(data),
        },
        type: type === '' ? undefined : type,
        force: force === 'true',
      });
      return reply.send(answer as unknown as Static<typeof Guides>);
    },
  );

  for (const kind of engagementKinds) {
    // The older path names a message; what was done is known by guide and step all the same.
    for (const path of [kind, `:message_id/${kind}`]) {
      app.put(
        `/v1/users/:user_id/guides/messages/${path}`,
        {
          config: {
            access: 'public',
            capability: 'user/guide_write',
            errors: ['resource_missing'],
          },
          schema: {
            description:
              path === kind
                ? descriptions[kind]
                : `${descriptions[kind]} The message id is not looked at.`,
            tags: ['Guides'],
            params: path === kind ? UserParams : UserAndMessage,
            body: bodies[kind],
            response: answers({ 200: GuideActionAnswer }),
          },
        },
        async (request, reply) => {
          const body = request.body as StepBody;
          await markGuideStep(environmentContext(services, request), {
            ...scopeOf(services, request, request.params.user_id, body),
            kind,
            channelId: body.channel_id,
            stepRef: body.guide_step_ref,
            metadata: kind === 'interacted' ? readInteractionMetadata(body.metadata) : undefined,
            unthrottled: body.unthrottled ?? undefined,
            isFinal: body.is_final ?? undefined,
          });
          return reply.send({ status: 'ok' });
        },
      );
    }
  }

  app.delete(
    '/v1/users/:user_id/guides/messages/archived',
    {
      config: { access: 'public', capability: 'user/guide_write', errors: ['resource_missing'] },
      schema: {
        description: 'Takes back that a user dismissed a guide, every step of it.',
        tags: ['Guides'],
        params: UserParams,
        body: OfGuide,
        response: answers({ 200: GuideActionAnswer }),
      },
    },
    async (request, reply) => {
      const scope = scopeOf(services, request, request.params.user_id, request.body);
      await unarchiveGuide(environmentContext(services, request), scope);
      return reply.send({ status: 'ok' });
    },
  );

  app.put(
    '/v1/users/:user_id/guides/engagements/reset',
    {
      config: { access: 'public', capability: 'user/guide_write', errors: ['resource_missing'] },
      schema: {
        description: 'Forgets what a user did with a guide: it is as new for them.',
        tags: ['Guides'],
        params: UserParams,
        body: OfGuide,
        response: answers({ 200: GuideActionAnswer }),
      },
    },
    async (request, reply) => {
      const scope = scopeOf(services, request, request.params.user_id, request.body);
      await resetGuide(environmentContext(services, request), scope);
      return reply.send({ status: 'ok' });
    },
  );
}

type StepBody = Static<typeof bodies.archived> & Partial<Static<typeof bodies.interacted>>;

/** Whose guide the request is about. Throws `authorization` when its user token does not open the tenant. */
function scopeOf(
  services: Services,
  request: FastifyRequest,
  userId: string,
  body: Static<typeof OfGuide>,
): EngagementScope {
  const tenant = tenantOf(body.tenant);
  requireTenantInScope(tenant, tenantScopeOf(request, 'user/guide_write'));
  return {
    catalogs: services.guides,
    userId: parseId(userId, 'user_id'),
    tenant,
    guideKey: body.guide_key,
  };
}
