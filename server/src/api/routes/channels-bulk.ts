import { Type } from 'typebox';
import { bulkActions, readBulkFilter } from '../../feed/bulk-message-status.ts';
import { deliveryStatuses } from '../../feed/delivery-status.ts';
import { archivedFilters } from '../../feed/feed-filter.ts';
import { engagementFilters } from '../../feed/message-filter.ts';
import { BelfryError } from '../../lib/errors.ts';
import { isJsonObject } from '../../lib/json.ts';
import { messageOperation } from '../../operations/message-operation.ts';
import { environmentContext } from '../access.ts';
import { BulkOperation } from '../message-schemas.ts';
import { beginOperation } from '../operate.ts';
import type { App } from '../route.ts';
import { AnyObject, answers } from '../schemas.ts';
import type { Services } from '../services.ts';
import { compileAllButBody } from '../validation.ts';
import { messageScope } from './messages.ts';

const texts = Type.Optional(Type.Array(Type.String()));

const Filters = Type.Object(
  {
    recipient_ids: Type.Optional(
      Type.Array(Type.String(), { description: 'Of users, `user_ids` in short; all when absent.' }),
    ),
    engagement_status: Type.Optional(Type.Array(Type.Enum([...engagementFilters]))),
    delivery_status: Type.Optional(Type.Array(Type.Enum([...deliveryStatuses]))),
    archived: Type.Optional(Type.Enum([...archivedFilters])),
    has_tenant: Type.Optional(Type.Boolean()),
    tenants: texts,
    workflows: texts,
    newer_than: Type.Optional(Type.String()),
    older_than: Type.Optional(Type.String()),
    trigger_data: Type.Optional(AnyObject),
  },
  {
    examples: [
      { recipient_ids: ['mara'], engagement_status: ['unread'], workflows: ['new-comment'] },
    ],
  },
);

export function channelBulkRoutes(app: App, services: Services): void {
  app.post(
    '/v1/channels/:channel_id/messages/bulk/:action',
    {
      config: { access: 'public', capability: 'user/feed_write', errors: ['resource_missing'] },
      validatorCompiler: compileAllButBody,
      schema: {
        description:
          'Changes the status of every message of a channel that matches the filters in the body. Answers with an operation at once; messages that arrive later stay as they are. A public key without a user token must name exactly one user.',
        tags: ['Channels'],
        params: Type.Object({
          channel_id: Type.String({ description: 'The id of the channel.' }),
          action: Type.String({ enum: Object.keys(bulkActions) }),
        }),
        body: Filters,
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const body = isJsonObject(request.body) ? request.body : {};
      const filter = readBulkFilter(body);
      const scope = messageScope(request, 'user/feed_write');
      const isAnyone = request.access?.kind === 'public' && scope.userId === undefined;
      if (isAnyone && filter.recipientIds?.length !== 1) {
        throw new BelfryError(
          'incorrect_token_type',
          'A public key without a user token changes the messages of one user at a time: name exactly one in recipient_ids or user_ids, or use a secret key',
        );
      }
      const operation = await messageOperation(environmentContext(services, request), {
        channelId: request.params.channel_id,
        action: request.params.action,
        body,
        scope,
      });
      return reply.send(await beginOperation(services, operation));
    },
  );
}
