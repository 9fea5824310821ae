import { Type } from 'typebox';
import type { JsonObject } from '../../lib/json.ts';
import { objectAnswer } from '../../recipients/answer.ts';
import { deleteRecipient } from '../../recipients/delete-recipients.ts';
import { identify } from '../../recipients/identify.ts';
import { parseInline } from '../../recipients/inline.ts';
import { pageRequest } from '../../recipients/page.ts';
import { getRecipient, listRecipients } from '../../recipients/recipient.ts';
import { parseCollection, parseId, type RecipientKey } from '../../recipients/reference.ts';
import { environmentContext } from '../access.ts';
import type { App } from '../route.ts';
import {
  answers,
  NoContent,
  ObjectEntity,
  ObjectParams,
  openObject,
  PageInfo,
  pageQuery,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Objects'];

export const ObjectPage = Type.Object({ entries: Type.Array(ObjectEntity), page_info: PageInfo });

export function objectRoutes(app: App, services: Services): void {
  app.put(
    '/v1/objects/:collection/:object_id',
    {
      config: { errors: ['channel_invalid'] },
      schema: {
        description: 'Creates an object or merges the given properties into it.',
        tags,
        params: ObjectParams,
        body: Type.Object({}, openObject),
        response: answers({ 200: ObjectEntity }),
      },
    },
    async (request, reply) => {
      const inline = parseInline(keyOf(request.params), request.body as JsonObject, '');
      const row = await identify(environmentContext(services, request), inline);
      return reply.send(objectAnswer(row));
    },
  );

  app.get(
    '/v1/objects/:collection/:object_id',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'Reads an object.',
        tags,
        params: ObjectParams,
        response: answers({ 200: ObjectEntity }),
      },
    },
    async (request, reply) => {
      const row = await getRecipient(environmentContext(services, request), keyOf(request.params));
      return reply.send(objectAnswer(row));
    },
  );

  app.delete(
    '/v1/objects/:collection/:object_id',
    {
      schema: {
        description:
          'Deletes an object, at once, and within ten minutes everything it had: its subscribers, preferences, channel data, messages; runs under way end.',
        tags,
        params: ObjectParams,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await deleteRecipient(environmentContext(services, request), keyOf(request.params));
      return reply.status(204).send();
    },
  );

  app.get(
    '/v1/objects/:collection',
    {
      schema: {
        description: 'Lists the objects of a collection by id, a page at a time.',
        tags,
        params: Type.Object({ collection: Type.String() }),
        querystring: Type.Object(pageQuery),
        response: answers({
          200: ObjectPage,
        }),
      },
    },
    async (request, reply) => {
      const { entries, pageInfo } = await listRecipients(environmentContext(services, request), {
        collection: parseCollection(request.params.collection, 'collection'),
        page: pageRequest(request.query),
      });
      return reply.send({ entries: entries.map(objectAnswer), page_info: pageInfo });
    },
  );
}

function keyOf(params: { readonly collection: string; readonly object_id: string }): RecipientKey {
  return {
    collection: parseCollection(params.collection, 'collection'),
    id: parseId(params.object_id, 'object_id'),
  };
}
