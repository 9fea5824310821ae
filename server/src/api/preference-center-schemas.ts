import { Type } from 'typebox';
import { CENTER_CHANNEL_TYPES, CENTER_ROW_TYPES } from '../recipients/preference-center.ts';
import { Nullable } from './schemas.ts';

// What is kept of an environment is in memory; it has nothing that nobody asked for.
const closed = { additionalProperties: false } as const;

/** A line of the page that people change their preferences on. */
const Row = Type.Object(
  {
    type: Type.Enum([...CENTER_ROW_TYPES]),
    name: Type.String({ minLength: 1, maxLength: 200 }),
    description: Type.Optional(Type.String({ maxLength: 1_000 })),
    identifier: Type.Optional(
      Nullable(
        Type.String({
          maxLength: 255,
          description: 'The key of the workflow, the category, or the id of the channel.',
        }),
      ),
    ),
    channel_types: Type.Optional(
      Nullable(
        Type.Array(Type.Enum([...CENTER_CHANNEL_TYPES]), {
          uniqueItems: true,
          description: 'One switch for each; without any the row has one switch.',
        }),
      ),
    ),
  },
  closed,
);

export const CenterConfigSchema = Type.Object(
  {
    title: Type.String({ minLength: 1, maxLength: 200 }),
    body: Type.String({ maxLength: 2_000 }),
    show_account_name: Type.Optional(Type.Boolean()),
    rows: Type.Array(Row, { maxItems: 100 }),
  },
  closed,
);

const Text = Type.Optional(Nullable(Type.String()));

const branding = {
  icon_url: Text,
  logo_url: Text,
  primary_color: Text,
  primary_color_contrast: Text,
};

export const PreferenceCenterConfig = Type.Object({
  enabled: Type.Boolean(),
  config: CenterConfigSchema,
  branding: Type.Object({ ...branding, dark: Type.Optional(Type.Object(branding)) }),
  account_name: Nullable(Type.String()),
  user_email: Nullable(
    Type.String({ description: 'Whose preferences these are: the e-mail address, or the id.' }),
  ),
  knock_branding_required: Type.Optional(Type.Boolean()),
});

export const PreferenceCenterLink = Type.Object({
  url: Type.String({ description: 'The page of this user; it does not expire.' }),
  token: Type.String({ description: 'The last part of the URL.' }),
});

export const CenterSettings = Type.Object({
  enabled: Type.Boolean(),
  config: CenterConfigSchema,
});
