import { type TSchema, Type } from 'typebox';

// Shapes that several routes share. Schemas of answers document; they never drop a field.

export const Nullable = <Schema extends TSchema>(schema: Schema) =>
  Type.Union([schema, Type.Null()]);

/** Properties of the caller's own, beside those that are named. */
export const openObject = { additionalProperties: true } as const;

/** An object of the caller's own. */
export const AnyObject = Type.Unsafe<{ readonly [key: string]: unknown }>(
  Type.Object({}, openObject),
);

/** What every answer with a status of 400 or more says. */
export const ErrorAnswer = Type.Object(
  {
    code: Type.String(),
    message: Type.String(),
    status: Type.Integer(),
    type: Type.String(),
    errors: Type.Optional(
      Type.Array(Type.Object({ field: Type.String(), message: Type.String() })),
    ),
  },
  { description: 'The error envelope. docs/errors.md lists the codes.' },
);

/**
 * The answers of a route: the good ones, and the envelope for all others. They document; what a
 * handler sends is typed where it is made.
 */
export function answers(good: { readonly [status: number]: TSchema }): {
  readonly [status: string]: TSchema;
} {
  return { ...good, '4xx': ErrorAnswer, '5xx': ErrorAnswer };
}

export const NoContent = Type.Null({ description: 'Done; no body.' });

export const PageInfo = Type.Object({
  __typename: Type.Literal('PageInfo'),
  after: Nullable(Type.String()),
  before: Nullable(Type.String()),
  page_size: Type.Integer(),
});

export const pageQuery = {
  after: Type.Optional(Type.String({ description: 'The cursor to fetch entries after.' })),
  before: Type.Optional(Type.String({ description: 'The cursor to fetch entries before.' })),
  page_size: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 50, description: 'Entries of the page; 50 by default.' }),
  ),
};

export const UserParams = Type.Object({
  user_id: Type.String({ description: 'The id of the user in your system.' }),
});

export const UserProperties = {
  name: Type.Optional(Nullable(Type.String())),
  email: Type.Optional(Nullable(Type.String())),
  avatar: Type.Optional(Nullable(Type.String())),
  phone_number: Type.Optional(Nullable(Type.String())),
  locale: Type.Optional(Nullable(Type.String())),
  timezone: Type.Optional(Nullable(Type.String())),
  created_at: Type.Optional(Nullable(Type.String())),
};

export const User = Type.Object(
  {
    __typename: Type.Literal('User'),
    id: Type.String(),
    updated_at: Type.String({ format: 'date-time' }),
    ...UserProperties,
  },
  { ...openObject, description: 'A user; custom properties are at the top level.' },
);

export const ObjectParams = Type.Object({
  collection: Type.String({ description: 'The collection of the object.' }),
  object_id: Type.String({ description: 'The id of the object in its collection.' }),
});

export const ObjectEntity = Type.Object({
  __typename: Type.Literal('Object'),
  id: Type.String(),
  collection: Type.String(),
  properties: AnyObject,
  created_at: Nullable(Type.String()),
  updated_at: Type.String({ format: 'date-time' }),
});

/** What a trigger, subscription or schedule can be for. */
export const Recipient = Type.Union([User, ObjectEntity]);

const PreferenceParts = {
  categories: Type.Optional(Nullable(Type.Object({}, openObject))),
  workflows: Type.Optional(Nullable(Type.Object({}, openObject))),
  channel_types: Type.Optional(Nullable(Type.Object({}, openObject))),
  channels: Type.Optional(Nullable(Type.Object({}, openObject))),
  commercial_subscribed: Type.Optional(
    Nullable(Type.Union([Type.Boolean(), Type.Object({}, openObject)])),
  ),
};

export const PreferenceSetRequest = Type.Object(
  {
    __persistence_strategy__: Type.Optional(
      Nullable(Type.Union([Type.Literal('merge'), Type.Literal('replace')])),
    ),
    ...PreferenceParts,
  },
  openObject,
);

export const ChannelDataRequest = Type.Object({ data: Type.Object({}, openObject) }, openObject);
