import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { exampleOf } from './examples.ts';

/** How Knock's SDK for Node calls an operation: its arguments are those of the path in their order, then the others. */
export type SdkCall = {
  /** `users.feeds.listItems` */
  readonly method: string;
  /** Whether a last argument holds the query and the body. */
  readonly takesParams: boolean;
};

/** An operation with an example for each thing that goes in or out. */
export function withExamples(operation: JsonObject, name: string): JsonObject {
  const { parameters, requestBody, responses } = operation;
  return {
    ...operation,
    ...(Array.isArray(parameters) && {
      parameters: parameters.map((parameter) => parameterExample(parameter, name)),
    }),
    ...(isJsonObject(requestBody) && {
      requestBody: {
        ...requestBody,
        content: contentExample(requestBody.content ?? null, 'request', name),
      },
    }),
    ...(isJsonObject(responses) && {
      responses: Object.fromEntries(
        Object.entries(responses).map(([status, response]) => [
          status,
          isJsonObject(response) && response.content !== undefined
            ? { ...response, content: contentExample(response.content, 'answer', name) }
            : response,
        ]),
      ),
    }),
  };
}

function parameterExample(parameter: Json, operation: string): Json {
  if (!isJsonObject(parameter) || !isJsonObject(parameter.schema)) return parameter;
  const field = String(parameter.name);
  const noun = nounOf(operation);
  const owner = parameter.in === 'path' ? nounBefore(operation, field) : noun;
  const place = { side: 'request', operation, noun, owner, field } as const;
  const { examples: _, ...schema } = parameter.schema;
  return { ...parameter, schema, example: exampleOf(parameter.schema, place) };
}

function contentExample(content: Json, side: 'request' | 'answer', operation: string): Json {
  if (!isJsonObject(content)) return content;
  return Object.fromEntries(
    Object.entries(content).map(([type, media]) => {
      if (!isJsonObject(media) || !isJsonObject(media.schema)) return [type, media];
      // JSON Schema's own way to say that a text is no JSON.
      const { contentMediaType = type } = media.schema;
      if (media.example !== undefined) return [contentMediaType, media];
      const noun = nounOf(operation);
      const field = side === 'request' ? noun : `${noun}-answer`;
      const example = exampleOf(media.schema, { side, operation, noun, owner: noun, field });
      return [contentMediaType, { ...media, example }];
    }),
  );
}

/** The last word of the path: `limits` of `POST /ops/v1/accounts/{account}/limits`. */
function nounOf(operation: string): string {
  const words = operation.split('/').filter((part) => !part.includes('{'));
  return words.at(-1) ?? '';
}

/** `accounts` for the parameter `account` there. */
function nounBefore(operation: string, parameter: string): string {
  const [before = ''] = operation.split(`/{${parameter}}`);
  return before.split('/').at(-1) ?? '';
}

/** `putUsersUserIdPreferences` for an operation that the SDK has no name for. */
export function operationIdOf(method: string, url: string): string {
  const parts = url.split(/[^A-Za-z0-9]+/).filter((part) => part !== '' && part !== 'v1');
  return [method.toLowerCase(), ...parts.map(capital)].join('');
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
