import { Type } from 'typebox';
import {
  MAX_BATCH,
  type MessageStatus,
  messageStatuses,
  readInteractionMetadata,
  updateMessageStatus,
  updateMessageStatuses,
} from '../../feed/message-status.ts';
import { isJsonObject } from '../../lib/json.ts';
import { environmentContext } from '../access.ts';
import { Message } from '../message-schemas.ts';
import type { App } from '../route.ts';
import { answers, Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';
import { MessageParams, messageScope } from './messages.ts';

type Endpoint = {
  readonly method: 'PUT' | 'DELETE';
  readonly name: string;
  readonly status: MessageStatus;
  readonly description: string;
};

const endpoints: readonly Endpoint[] = [
  { method: 'PUT', name: 'seen', status: 'seen', description: 'Marks a message as seen.' },
  { method: 'DELETE', name: 'seen', status: 'unseen', description: 'Takes back that it was seen.' },
  { method: 'DELETE', name: 'unseen', status: 'unseen', description: 'The same as DELETE seen.' },
  { method: 'PUT', name: 'read', status: 'read', description: 'Marks a message as read.' },
  { method: 'DELETE', name: 'read', status: 'unread', description: 'Takes back that it was read.' },
  { method: 'DELETE', name: 'unread', status: 'unread', description: 'The same as DELETE read.' },
  {
    method: 'PUT',
    name: 'interacted',
    status: 'interacted',
    description:
      'Records that the recipient used a message, which also marks it as read. The body may have `metadata` of at most five flat values.',
  },
  { method: 'PUT', name: 'archived', status: 'archived', description: 'Archives a message.' },
  {
    method: 'DELETE',
    name: 'archived',
    status: 'unarchived',
    description: 'Takes a message back out of the archive.',
  },
  {
    method: 'DELETE',
    name: 'unarchived',
    status: 'unarchived',
    description: 'The same as DELETE archived.',
  },
];

/** What a recipient did with messages: one at a time, and up to a thousand at once. */
export function messageStatusRoutes(app: App, services: Services): void {
  for (const { method, name, status, description } of endpoints) {
    app.route({
      method,
      url: `/v1/messages/:message_id/${name}`,
      config: {
        access: 'public',
        capability: 'user/feed_write',
        errors: ['resource_missing'],
      },
      schema: {
        description,
        tags: ['Messages'],
        params: MessageParams,
        response: answers({ 200: Message }),
      },
      handler: async (request, reply) => {
        const { body } = request;
        const metadata = isJsonObject(body) ? body.metadata : undefined;
        const message = await updateMessageStatus(environmentContext(services, request), {
          messageId: request.params.message_id,
          status,
          metadata: status === 'interacted' ? readInteractionMetadata(metadata) : undefined,
          ...messageScope(request, 'user/feed_write'),
        });
        return reply.send(message);
      },
    });
  }

  for (const status of messageStatuses) {
    app.post(
      `/v1/messages/batch/${status}`,
      {
        config: { access: 'public', capability: 'user/feed_write' },
        schema: {
          description: `Marks messages as ${status}. Answers those that exist, in the order of their ids.`,
          tags: ['Messages'],
          body: Type.Object(
            {
              message_ids: Type.Array(Type.String(), { maxItems: MAX_BATCH }),
              metadata: Type.Optional(Nullable(Type.Object({}, openObject))),
            },
            openObject,
          ),
          response: answers({ 200: Type.Array(Message) }),
        },
      },
      async (request, reply) => {
        const { message_ids, metadata } = request.body;
        const messages = await updateMessageStatuses(environmentContext(services, request), {
          messageIds: message_ids,
          status,
          metadata: status === 'interacted' ? readInteractionMetadata(metadata) : undefined,
          ...messageScope(request, 'user/feed_write'),
        });
        return reply.send(messages);
      },
    );
  }
}
