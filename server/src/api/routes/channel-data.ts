import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Capability } from '../../accounts/user-token.ts';
import type { JsonObject } from '../../lib/json.ts';
import { getChannelData, setChannelData, unsetChannelData } from '../../recipients/channel-data.ts';
import { environmentContext, requireGrant } from '../access.ts';
import { ChannelData } from '../channel-data-schemas.ts';
import type { App } from '../route.ts';
import { answers, ChannelDataRequest, NoContent } from '../schemas.ts';
import type { Services } from '../services.ts';
import { recipientOwners } from './recipient-owner.ts';

type Params = { readonly [name: string]: string };

export function channelDataRoutes(app: App, services: Services): void {
  for (const owner of recipientOwners) {
    const path = `${owner.path}/channel_data/:channel_id`;
    const tags = [owner.tag, 'Channel data'];
    const read = { access: owner.grantedAccess, capability: 'channel_data/read' } as const;
    const write = { access: owner.grantedAccess, capability: 'channel_data/write' } as const;
    const params = Type.Object({
      ...owner.params,
      channel_id: Type.String({ description: 'The id or key of the channel.' }),
    });
    const key = (request: FastifyRequest, capability: Capability) => {
      const given = request.params as Params;
      const recipient = owner.key(given);
      requireGrant(request, recipient, capability);
      return { ...recipient, channel: given.channel_id ?? '' };
    };

    app.get(
      path,
      {
        config: { ...read, errors: ['resource_missing', 'channel_invalid'] },
        schema: {
          description: 'Reads the data with which a recipient is reached on a channel.',
          tags,
          params,
          response: answers({ 200: ChannelData }),
        },
      },
      async (request, reply) => {
        const ctx = environmentContext(services, request);
        return reply.send(await getChannelData(ctx, key(request, read.capability)));
      },
    );

    app.put(
      path,
      {
        config: { ...write, errors: ['channel_invalid'] },
        schema: {
          description: 'Replaces the data with which a recipient is reached on a channel.',
          tags,
          params,
          body: ChannelDataRequest,
          response: answers({ 200: ChannelData }),
        },
      },
      async (request, reply) => {
        const ctx = environmentContext(services, request);
        const data = request.body.data as JsonObject;
        return reply.send(await setChannelData(ctx, { ...key(request, write.capability), data }));
      },
    );

    app.delete(
      path,
      {
        config: { ...write, errors: ['channel_invalid'] },
        schema: {
          description: 'Removes the data with which a recipient is reached on a channel.',
          tags,
          params,
          response: answers({ 204: NoContent }),
        },
      },
      async (request, reply) => {
        await unsetChannelData(
          environmentContext(services, request),
          key(request, write.capability),
        );
        return reply.status(204).send();
      },
    );
  }
}
