import swagger from '@fastify/swagger';
import type { ErrorCode } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { addRoutes, createApp } from './app.ts';
import { operationIdOf, type SdkCall, withExamples } from './openapi/operation.ts';
import { errorComponents, errorResponses, errorsOf } from './openapi/route-errors.ts';
import { shareSchemas } from './openapi/share-schemas.ts';
import { ErrorAnswer } from './schemas.ts';
import type { Services } from './services.ts';

/** How Knock's SDK for Node calls the operations, by `GET /v1/users/{user_id}`. */
export type SdkCalls = ReadonlyMap<string, SdkCall>;

/**
 * The OpenAPI 3.1 document of the endpoints, as `server/openapi.json` holds it. Only `npm run
 * generate` and its test make it; the server serves the file.
 */
export async function openApiDocument(sdkCalls: SdkCalls): Promise<string> {
  // Routes only remember their services until a request comes, and none does here.
  const services = {} as Services;
  const app = createApp(services);
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', ...head },
    transform: ({ schema, url, route }) => {
      if (schema === undefined) return { schema: { hide: true }, url };
      const { access = 'secret', errors } = route.config ?? {};
      const [method = 'GET'] = [route.method].flat();
      return {
        schema: {
          ...schema,
          summary: schema.summary ?? firstSentence(schema.description ?? ''),
          operationId: operationIdOf(method, url),
          security: securityOf[access].map((name) => ({ [name]: [] })),
          'x-errors': errorsOf({
            method,
            access,
            namesEnvironment: access === 'service' && hasField(schema.querystring, 'environment'),
            errors,
          }),
        },
        url,
      };
    },
  });
  addRoutes(app, services);
  await app.ready();
  const document = JSON.parse(JSON.stringify(app.swagger())) as JsonObject;
  await app.close();
  return `${JSON.stringify(completed(document, sdkCalls), null, 1)}\n`;
}

/** Examples, errors and calls of the SDK for each operation; what several share, once. */
function completed(document: JsonObject, sdkCalls: SdkCalls): JsonObject {
  const errorSets: ErrorCode[][] = [];
  const change = (operation: Json, name: string): Json => {
    if (!isJsonObject(operation)) return operation;
    const { 'x-errors': errors, responses = {}, ...rest } = operation;
    const codes = errors as ErrorCode[];
    errorSets.push(codes);
    const good = Object.entries(responses as JsonObject).filter(([status]) => !/XX$/.test(status));
    const call = sdkCalls.get(name);
    return withExamples(
      {
        ...rest,
        ...(call && { 'x-sdk': { method: call.method, takesParams: call.takesParams } }),
        responses: {
          ...errorResponses(codes),
          ...Object.fromEntries(
            good.map(([status, answer]) => [status, described(answer, status)]),
          ),
        },
      },
      name,
    );
  };
  const paths = Object.entries((document.paths ?? {}) as JsonObject).map(([path, item]) => [
    path,
    Object.fromEntries(
      Object.entries(item as JsonObject).map(([method, operation]) => [
        method,
        change(operation, `${method.toUpperCase()} ${path}`),
      ]),
    ),
  ]);
  const shared = shareSchemas(Object.fromEntries(paths));
  const { responses, examples } = errorComponents(errorSets);
  const components = isJsonObject(document.components) ? document.components : {};
  return {
    ...document,
    paths: shared.paths,
    components: {
      ...components,
      schemas: { Error: JSON.parse(JSON.stringify(ErrorAnswer)) as Json, ...shared.schemas },
      responses,
      examples,
    },
  };
}

function hasField(schema: unknown, field: string): boolean {
  const properties = isJsonObject(schema) ? schema.properties : undefined;
  return isJsonObject(properties) && field in properties;
}

/** The plugin calls every answer the default one. */
function described(answer: Json, status: string): Json {
  if (!isJsonObject(answer)) return answer;
  const isDefault = answer.description === 'Default Response';
  return isDefault ? { ...answer, description: statusNames[status] ?? 'Done' } : answer;
}

const statusNames: { readonly [status: string]: string } = {
  200: 'Done',
  201: 'Made',
  202: 'Accepted',
  204: 'Done; no body',
  503: 'Not ready',
};

const head = {
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
        type: 'http' as const,
        scheme: 'bearer',
        description: 'A secret key of an environment (`sk_…`): for servers.',
      },
      publicKey: {
        type: 'http' as const,
        scheme: 'bearer',
        description:
          'A public key of an environment (`pk_…`): for browsers and apps. With enhanced security on it needs a signed user token in `X-Knock-User-Token` too.',
      },
      serviceToken: {
        type: 'http' as const,
        scheme: 'bearer',
        description: 'A service token of an account (`knock_st_…`): for publishing.',
      },
      operatorToken: {
        type: 'http' as const,
        scheme: 'bearer',
        description: 'A token of the operator (`bf_op_…`).',
      },
    },
  },
};

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
