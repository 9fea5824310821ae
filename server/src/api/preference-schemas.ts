import { Type } from 'typebox';
import { Nullable, openObject } from './schemas.ts';

const Condition = Type.Object({
  variable: Type.String(),
  operator: Type.Enum([
    'equal_to',
    'not_equal_to',
    'greater_than',
    'less_than',
    'greater_than_or_equal_to',
    'less_than_or_equal_to',
    'contains',
    'not_contains',
    'empty',
    'not_empty',
    'exists',
    'not_exists',
    'contains_all',
    'not_contains_all',
    'is_timestamp',
    'is_not_timestamp',
    'is_timestamp_on_or_after',
    'is_timestamp_before',
    'is_timestamp_on_or_after_date',
    'is_timestamp_before_date',
    'is_timestamp_between',
    'is_between',
    'is_audience_member',
    'is_not_audience_member',
  ]),
  argument: Nullable(Type.String()),
});

/** On or off, or on while conditions hold. */
const Switch = Type.Union([Type.Boolean(), Type.Object({ conditions: Type.Array(Condition) })]);

const ChannelTypes = Type.Object({
  email: Type.Optional(Switch),
  in_app_feed: Type.Optional(Switch),
  in_app_guide: Type.Optional(Switch),
  sms: Type.Optional(Switch),
  push: Type.Optional(Switch),
  chat: Type.Optional(Switch),
  http: Type.Optional(Switch),
});

const Channels = Type.Record(Type.String(), Switch);

const Topics = Type.Record(
  Type.String(),
  Type.Union([
    Type.Boolean(),
    Type.Object({
      channel_types: Type.Optional(Nullable(ChannelTypes)),
      channels: Type.Optional(Nullable(Channels)),
      conditions: Type.Optional(Nullable(Type.Array(Condition))),
    }),
  ]),
);

const parts = {
  categories: Topics,
  workflows: Topics,
  channel_types: ChannelTypes,
  channels: Channels,
  commercial_subscribed: Nullable(Switch),
};

export const PreferenceSet = Type.Object({ id: Type.String(), ...parts });

const Text = Type.Optional(Nullable(Type.String()));

export const Tenant = Type.Object(
  {
    __typename: Type.Literal('Tenant'),
    id: Type.String(),
    name: Nullable(Type.String()),
    settings: Type.Object({
      branding: Nullable(
        Type.Object({
          logo_url: Text,
          icon_url: Text,
          primary_color: Text,
          primary_color_contrast: Text,
          dark_logo_url: Text,
          dark_icon_url: Text,
          dark_primary_color: Text,
          dark_primary_color_contrast: Text,
        }),
      ),
      preference_set: Nullable(
        Type.Object({ id: Type.String(), ...Type.Partial(Type.Object(parts)).properties }),
      ),
    }),
  },
  { ...openObject, description: 'A tenant; custom properties are at the top level.' },
);
