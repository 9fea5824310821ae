import swagger from '@fastify/swagger';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { addRoutes, createApp } from './app.ts';
import type { Services } from './services.ts';

/**
 * The OpenAPI 3.1 document of the endpoints, as `server/openapi.json` holds it. Only `npm run
 * generate` and its test make it; the server serves the file.
 */
export async function openApiDocument(): Promise<string> {
  // Routes only remember their services until a request comes, and none does here.
  const services = {} as Services;
  const app = createApp(services);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Belfry',
        version: '1',
        description:
          'One call says what happened and to whom; Belfry decides, renders and delivers. The endpoints under `/v1` speak the wire contract of Knock, so its SDKs work against them.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This server' }],
      components: {
        securitySchemes: {
          secretKey: {
            type: 'http',
            scheme: 'bearer',
            description: 'A secret key of an environment (`sk_…`): for servers.',
          },
          publicKey: {
            type: 'http',
            scheme: 'bearer',
            description:
              'A public key of an environment (`pk_…`): for browsers and apps. With enhanced security on it needs a signed user token in `X-Knock-User-Token` too.',
          },
          serviceToken: {
            type: 'http',
            scheme: 'bearer',
            description: 'A service token of an account (`knock_st_…`): for publishing.',
          },
          operatorToken: {
            type: 'http',
            scheme: 'bearer',
            description: 'A token of the operator (`bf_op_…`).',
          },
        },
      },
    },
    transform: ({ schema, url, route }) => {
      if (schema === undefined) return { schema: { hide: true }, url };
      const access = route.config?.access ?? 'secret';
      return {
        schema: {
          ...schema,
          summary: schema.summary ?? firstSentence(schema.description ?? ''),
          security: securityOf[access].map((name) => ({ [name]: [] })),
        },
        url,
      };
    },
  });
  addRoutes(app, services);
  await app.ready();
  const text = JSON.stringify(app.swagger());
  await app.close();
  return `${JSON.stringify(shareErrorAnswer(JSON.parse(text)), null, 2)}\n`;
}

/** Every operation's error answers are the same one; referring to it halves the document. */
function shareErrorAnswer(document: JsonObject): JsonObject {
  let shared: Json | undefined;
  const replace = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(replace);
    if (!isJsonObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => {
        if (key !== '4XX' && key !== '5XX') return [key, replace(item)];
        shared = item;
        return [key, { $ref: '#/components/responses/Error' }];
      }),
    );
  };
  const paths = replace(document.paths ?? {});
  const components = isJsonObject(document.components) ? document.components : {};
  return {
    ...document,
    components: { ...components, responses: { Error: shared ?? {} } },
    paths,
  };
}

const securityOf = {
  none: [],
  secret: ['secretKey'],
  public: ['secretKey', 'publicKey'],
  granted: ['secretKey', 'publicKey'],
  service: ['serviceToken'],
  operator: ['operatorToken'],
} as const;

function firstSentence(text: string): string {
  const end = text.search(/[.:;](?:\s|$)/);
  return end < 0 ? text : text.slice(0, end);
}
