import { type TSchema, Type } from 'typebox';

/** Absent, null, or of this type. */
export function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}
