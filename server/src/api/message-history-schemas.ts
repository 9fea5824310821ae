import { type TSchema, Type } from 'typebox';
import { messageEventTypes } from '../feed/message-event-type.ts';
import { Blocks, RecipientReference } from './message-schemas.ts';
import { AnyObject, Nullable, openObject, PageInfo } from './schemas.ts';

const Time = Type.String({ format: 'date-time' });
const Text = Type.Optional(Nullable(Type.String()));

const Content = Type.Union([
  Type.Object(
    {
      __typename: Type.Literal('MessageEmailContent'),
      from: Type.String(),
      to: Type.String(),
      cc: Text,
      bcc: Text,
      reply_to: Text,
      subject_line: Type.String(),
      html_body: Type.String(),
      text_body: Type.String(),
    },
    openObject,
  ),
  Type.Object({
    __typename: Type.Literal('MessageSmsContent'),
    to: Type.String(),
    body: Type.String(),
  }),
  Type.Object({
    __typename: Type.Literal('MessagePushContent'),
    token: Type.String(),
    title: Type.String(),
    body: Type.String(),
    data: Nullable(AnyObject),
  }),
  Type.Object({
    __typename: Type.Literal('MessageChatContent'),
    connection: AnyObject,
    metadata: Nullable(AnyObject),
    template: Type.Object({
      blocks: Nullable(
        Type.Array(
          Type.Object({
            type: Type.Literal('markdown'),
            name: Type.String(),
            content: Type.String(),
          }),
        ),
      ),
      json_content: Nullable(AnyObject),
      summary: Nullable(Type.String()),
    }),
  }),
  Type.Object({ __typename: Type.Literal('MessageInAppFeedContent'), blocks: Blocks }),
]);

/** Beside the contract's: what a step of a webhook channel sends. */
const HttpContent = Type.Object({ __typename: Type.Literal('MessageHttpContent') }, openObject);

const contentsOf = <Data extends TSchema>(data: Data) =>
  Type.Object({
    __typename: Type.Literal('MessageContent'),
    message_id: Type.String(),
    inserted_at: Time,
    data,
  });

export const MessageContents = Type.Union([contentsOf(Content), contentsOf(HttpContent)]);

const messageEvents = Object.keys(messageEventTypes) as (keyof typeof messageEventTypes)[];

export const MessageEventPage = Type.Object({
  items: Type.Array(
    Type.Object({
      __typename: Type.Literal('MessageEvent'),
      id: Type.String(),
      type: Type.Enum(messageEvents.map((name) => `message.${name}` as const)),
      recipient: RecipientReference,
      data: Nullable(AnyObject),
      inserted_at: Time,
    }),
  ),
  page_info: PageInfo,
});

const Exchanged = Type.Optional(Type.Union([Type.String(), AnyObject]));

export const DeliveryLogPage = Type.Object({
  items: Type.Array(
    Type.Object({
      __typename: Type.Literal('MessageDeliveryLog'),
      id: Type.String(),
      environment_id: Type.String({ format: 'uuid' }),
      service_name: Type.String(),
      request: Type.Object(
        {
          host: Type.Optional(Type.String()),
          method: Type.Optional(Type.Enum(['GET', 'POST', 'PUT', 'DELETE', 'PATCH'])),
          path: Type.Optional(Type.String()),
          query: Type.Optional(Nullable(Type.String())),
          headers: Type.Optional(Nullable(AnyObject)),
          body: Exchanged,
        },
        openObject,
      ),
      response: Type.Object(
        {
          status: Type.Optional(Type.Integer()),
          headers: Type.Optional(Nullable(AnyObject)),
          body: Exchanged,
        },
        openObject,
      ),
      inserted_at: Time,
    }),
  ),
  page_info: PageInfo,
});
