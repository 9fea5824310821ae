import { Type } from 'typebox';

const text = Type.Optional(Type.String());

/** Which work: of an account, an environment or a key, and narrower if need be. */
export const ScopeInput = Type.Object({
  account: Type.Optional(Type.String({ description: 'Name or id.' })),
  environment: Type.Optional(Type.String({ description: 'Slug, of the account.' })),
  key: Type.Optional(
    Type.String({ description: 'Id (`key_12`), last four characters, or the whole key.' }),
  ),
  workflow: text,
  tenant: text,
  from: Type.Optional(
    Type.String({ description: 'Accepted then or later. ISO 8601 with a zone.' }),
  ),
  to: Type.Optional(Type.String({ description: 'Accepted before. ISO 8601 with a zone.' })),
});

export const ScopeAnswer = Type.Object({
  account: text,
  environment: text,
  key: Type.Optional(Type.Object({ id: Type.String(), hint: Type.String() })),
  workflow: text,
  tenant: text,
  from: text,
  to: text,
});
