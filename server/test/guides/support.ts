import type { Credentials } from '../../src/accounts/create-account.ts';
import type { JsonObject } from '../../src/lib/json.ts';

/** A guide of one step that has no problems; what is given replaces its members. */
export function guideContent(content: JsonObject = {}): JsonObject {
  return {
    name: 'A guide',
    channel_key: 'in-app-guide',
    steps: [step('step_1', { title: 'Hello' })],
    ...content,
  };
}

export function step(ref: string, values: JsonObject, schemaKey = 'banner'): JsonObject {
  return {
    ref,
    schema_key: schemaKey,
    schema_semver: '1.0.0',
    schema_variant_key: 'default',
    values,
  };
}

type Pushed = { readonly status: number; readonly body: JsonObject };

/** Pushes guides, and the group where it is given, to a server at `url`. */
export async function pushGuides(
  url: string,
  credentials: Credentials,
  guides: { readonly [key: string]: JsonObject },
  options: { readonly group?: JsonObject; readonly environment?: string } = {},
): Promise<Pushed> {
  const { group, environment = 'development' } = options;
  const response = await fetch(`${url}/control/v1/push?environment=${environment}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${credentials.service_token}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      guides: Object.entries(guides).map(([key, content]) => ({
        key,
        content: guideContent(content),
      })),
      ...(group ? { guide_groups: [{ key: 'default', content: group }] } : {}),
    }),
  });
  return { status: response.status, body: (await response.json()) as JsonObject };
}
