import { Type } from 'typebox';
import { nullable } from './nullable.ts';

/** A workflow's JSON; its steps are looked at one by one. */
export const Workflow = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 255 }),
  description: nullable(Type.String({ maxLength: 280 })),
  active: Type.Optional(Type.Boolean()),
  categories: nullable(Type.Array(Type.String())),
  tags: nullable(Type.Array(Type.String())),
  settings: nullable(
    Type.Object({
      is_commercial: nullable(Type.Boolean()),
      override_preferences: nullable(Type.Boolean()),
    }),
  ),
  conditions: nullable(Type.Object({})),
  trigger_data_json_schema: nullable(Type.Object({})),
  trigger_frequency: nullable(
    Type.Enum(['every_trigger', 'once_per_recipient', 'once_per_recipient_per_tenant']),
  ),
  steps: Type.Array(Type.Object({})),
});
