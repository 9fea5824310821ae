import { environmentContext } from '../access.ts';
import { censusMethods } from '../census-destination.ts';
import { hightouchMethods } from '../hightouch-destination.ts';
import { callRpc, RpcAnswer, type RpcMethod, RpcRequest } from '../json-rpc.ts';
import type { App } from '../route.ts';
import { answers } from '../schemas.ts';
import type { Services } from '../services.ts';

/** Destinations of reverse ETL: rows of a warehouse become members of audiences. */
export function integrationRoutes(app: App, services: Services): void {
  addDestination(app, services, {
    url: '/v1/integrations/census/custom-destination',
    summary: 'Process a Census RPC request',
    description:
      'A custom destination of Census: members of static audiences, added or mirrored. JSON-RPC over HTTP.',
    methods: censusMethods,
  });
  addDestination(app, services, {
    url: '/v1/integrations/hightouch/embedded-destination',
    summary: 'Process a Hightouch RPC request',
    description:
      'An embedded destination of Hightouch: members of static audiences with their tenants, added or mirrored. JSON-RPC over HTTP.',
    methods: hightouchMethods,
  });
}

function addDestination(
  app: App,
  services: Services,
  destination: {
    readonly url: string;
    readonly summary: string;
    readonly description: string;
    readonly methods: ReadonlyMap<string, RpcMethod>;
  },
): void {
  const { url, summary, description, methods } = destination;
  app.post(
    url,
    {
      schema: {
        summary,
        description: `${description} Methods: ${[...methods.keys()].map((name) => `\`${name}\``).join(', ')}.`,
        tags: ['Integrations'],
        body: {
          ...RpcRequest,
          examples: [{ jsonrpc: '2.0', id: '1', method: 'list_objects', params: {} }],
        },
        response: answers({ 200: RpcAnswer }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      return reply.send(await callRpc(methods, ctx, request.body));
    },
  );
}
