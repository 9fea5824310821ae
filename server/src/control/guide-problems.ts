import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { compileValues } from '../templates/compile-values.ts';
import { conditionNeeds } from '../workflows/condition-needs.ts';
import { conditionProblems } from '../workflows/conditions.ts';
import { nullable } from '../workflows/nullable.ts';
import { schemaProblems } from '../workflows/schema-problems.ts';
import type { CompileEnvironment, Problem } from '../workflows/step.ts';

const MAX_CONTENT = 100_000;

const Key = Type.String({ pattern: '^[a-z0-9_-]{3,255}$' });
const Time = nullable(Type.String({ maxLength: 40 }));
const Directive = Type.Enum(['allow', 'block']);

const Guide = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 255 }),
  description: nullable(Type.String({ maxLength: 280 })),
  channel_key: Type.String({ minLength: 1 }),
  type: nullable(Type.String({ minLength: 1, maxLength: 255 })),
  tags: nullable(Type.Array(Type.String())),
  steps: Type.Array(
    Type.Object({
      ref: Key,
      name: nullable(Type.String()),
      schema_key: Type.String({ minLength: 1, maxLength: 255 }),
      schema_semver: nullable(Type.String({ maxLength: 50 })),
      schema_variant_key: nullable(Type.String({ maxLength: 255 })),
      values: nullable(Type.Record(Type.String(), Type.Unknown())),
    }),
    { minItems: 1, maxItems: 50 },
  ),
  target_audience_key: nullable(Type.String()),
  target_property_conditions: nullable(Type.Object({})),
  activation_url_patterns: nullable(
    Type.Array(
      Type.Object({
        directive: Directive,
        pathname: nullable(Type.String({ maxLength: 2_000 })),
        search: nullable(Type.String({ maxLength: 2_000 })),
      }),
      { maxItems: 100 },
    ),
  ),
  activation_url_rules: nullable(
    Type.Array(
      Type.Object({
        directive: Directive,
        variable: Type.Literal('pathname'),
        operator: Type.Enum(['equal_to', 'contains']),
        argument: Type.String({ minLength: 1, maxLength: 2_000 }),
      }),
      { maxItems: 100 },
    ),
  ),
  active: nullable(Type.Boolean()),
  active_from: Time,
  active_until: Time,
  archived_at: Time,
  deleted_at: Time,
});

const Sequence = nullable(Type.Array(Type.String(), { maxItems: 1_000, uniqueItems: true }));

const Group = Type.Object({
  name: nullable(Type.String({ maxLength: 255 })),
  display_sequence: Sequence,
  display_sequence_unthrottled: Sequence,
  display_interval: nullable(Type.Integer({ minimum: 0, maximum: 366 * 86_400 })),
});

/** The one group that clients know. */
export const DEFAULT_GROUP = 'default';

export function guideGroupKeyProblem(key: string): string | undefined {
  if (key === DEFAULT_GROUP) return undefined;
  return `there is one group of guides, ${JSON.stringify(DEFAULT_GROUP)}, not ${JSON.stringify(key.slice(0, 255))}`;
}

/** Everything that is wrong with a guide, each with its JSON path. */
export function guideProblems(content: JsonObject, environment: CompileEnvironment): Problem[] {
  const length = JSON.stringify(content).length;
  if (length > MAX_CONTENT) {
    return [{ path: '$', reason: `has ${length} characters, a guide at most ${MAX_CONTENT}` }];
  }
  const problems = schemaProblems(Guide, content, '$');
  if (problems.length > 0) return problems;
  return [
    ...referenceProblems(content, environment),
    ...stepProblems(objects(content.steps), environment),
    ...targetProblems(content.target_property_conditions),
    ...urlProblems(content),
    ...timeProblems(content),
  ];
}

/** The same of a group: its keys must be guides of the environment, or come with it. */
export function guideGroupProblems(
  content: JsonObject,
  environment: CompileEnvironment,
): Problem[] {
  const problems = schemaProblems(Group, content, '$');
  if (problems.length > 0) return problems;
  return ['display_sequence', 'display_sequence_unthrottled'].flatMap((field) => {
    const keys = Array.isArray(content[field]) ? content[field] : [];
    return keys.flatMap((key, index) =>
      environment.guide(String(key))
        ? []
        : [
            {
              path: `$.${field}[${index}]`,
              reason: `the environment has no guide ${JSON.stringify(key)}`,
            },
          ],
    );
  });
}

function referenceProblems(content: JsonObject, environment: CompileEnvironment): Problem[] {
  const problems: Problem[] = [];
  const channel = String(content.channel_key);
  if (!environment.guideChannel(channel)) {
    const reason = `the account has no channel of the type in_app_guide with the key ${JSON.stringify(channel)}`;
    problems.push({ path: '$.channel_key', reason });
  }
  const audience = content.target_audience_key;
  if (typeof audience === 'string' && audience !== '' && !environment.audience(audience)) {
    const reason = `the environment has no audience ${JSON.stringify(audience)}`;
    problems.push({ path: '$.target_audience_key', reason });
  }
  return problems;
}

function stepProblems(steps: readonly JsonObject[], environment: CompileEnvironment): Problem[] {
  const problems: Problem[] = [];
  const refs = new Set<string>();
  steps.forEach((step, index) => {
    const path = `$.steps[${index}]`;
    const ref = String(step.ref);
    if (refs.has(ref)) problems.push({ path: `${path}.ref`, reason: `"${ref}" is there twice` });
    refs.add(ref);
    if (!isJsonObject(step.values)) return;
    const refuse = (at: string, reason: string) => problems.push({ path: at, reason });
    compileValues(step.values, environment.templates, refuse, `${path}.values`);
  });
  return problems;
}

function targetProblems(conditions: Json | undefined): Problem[] {
  const path = '$.target_property_conditions';
  const problems = conditionProblems(conditions, path);
  if (problems.length > 0 || !isJsonObject(conditions)) return problems;
  return conditionNeeds(conditions)?.messages
    ? [{ path, reason: 'cannot ask for messages: a guide has no earlier steps' }]
    : [];
}

function urlProblems(content: JsonObject): Problem[] {
  const patterns = objects(content.activation_url_patterns);
  const problems = patterns.flatMap(({ pathname, search }, index) => {
    const path = `$.activation_url_patterns[${index}]`;
    if (!isText(pathname) && !isText(search)) {
      return [{ path, reason: 'needs at least one of "pathname" and "search"' }];
    }
    try {
      new URLPattern({
        ...(isText(pathname) ? { pathname } : {}),
        ...(isText(search) ? { search } : {}),
      });
      return [];
    } catch {
      return [{ path, reason: 'is no URL pattern that a browser can read' }];
    }
  });
  if (patterns.length > 0 && objects(content.activation_url_rules).length > 0) {
    const reason = 'cannot stand beside activation_url_patterns; use one of them';
    problems.push({ path: '$.activation_url_rules', reason });
  }
  return problems;
}

function timeProblems(content: JsonObject): Problem[] {
  const fields = ['active_from', 'active_until', 'archived_at', 'deleted_at'];
  const problems = fields.flatMap((field) => {
    const value = content[field];
    return typeof value === 'string' && Number.isNaN(Date.parse(value))
      ? [{ path: `$.${field}`, reason: 'must be a time in ISO 8601' }]
      : [];
  });
  const from = Date.parse(String(content.active_from));
  const until = Date.parse(String(content.active_until));
  if (from >= until) {
    problems.push({ path: '$.active_until', reason: 'must be after active_from' });
  }
  return problems;
}

function isText(value: Json | undefined): value is string {
  return typeof value === 'string' && value !== '';
}

function objects(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
