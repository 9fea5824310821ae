import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { type CompiledValues, compileValues } from '../templates/compile-values.ts';
import type { TemplateEnvironment } from '../templates/template-environment.ts';
import { conditionNeeds } from '../workflows/condition-needs.ts';
import { compileConditions, type Predicate } from '../workflows/conditions.ts';

/** A guide as it is kept, with the id of its channel. */
export type GuideRow = {
  readonly id: string;
  readonly key: string;
  readonly number: number;
  readonly content: JsonObject;
  readonly active: boolean;
  readonly active_from: Date | null;
  readonly active_until: Date | null;
  readonly inserted_at: Date;
  readonly updated_at: Date;
  readonly channel_id: string;
};

export type GuideStep = {
  readonly ref: string;
  readonly schema_key: string;
  readonly schema_semver: string;
  readonly schema_variant_key: string;
  readonly content: CompiledValues;
};

/** A guide, ready to be weighed for a user: everything here is made once a version. */
export type Guide = {
  readonly key: string;
  readonly channelId: string;
  readonly type: string;
  readonly isArchived: boolean;
  readonly active: boolean;
  /** Milliseconds since 1970; absent: always. */
  readonly activeFromMs?: number;
  readonly activeUntilMs?: number;
  /** When anything about it last changed. */
  readonly updatedMs: number;
  /** Only its members see the guide. */
  readonly audienceKey?: string;
  /** Absent: everybody meets them. */
  readonly conditions?: Predicate;
  /** Audiences that the guide asks for, its own among them. */
  readonly audiences: readonly string[];
  readonly steps: readonly GuideStep[];
  /** What an answer says of it whoever asks: everything but `active`, `steps` and `bypass_global_group_limit`. */
  readonly fields: JsonObject;
  /** Differs when the content, the switch or the times of the guide do. */
  readonly stamp: string;
};

/** Throws what a template throws that does not compile with what the environment shares now. */
export function compileGuide(row: GuideRow, templates: TemplateEnvironment): Guide {
  const { content } = row;
  const steps = objects(content.steps);
  const conditions = isJsonObject(content.target_property_conditions)
    ? content.target_property_conditions
    : undefined;
  const audienceKey = text(content.target_audience_key);
  const type = text(content.type) ?? String(steps[0]?.schema_key);
  return {
    key: row.key,
    channelId: row.channel_id,
    type,
    isArchived: text(content.archived_at) !== undefined || text(content.deleted_at) !== undefined,
    active: row.active,
    ...(row.active_from ? { activeFromMs: row.active_from.getTime() } : {}),
    ...(row.active_until ? { activeUntilMs: row.active_until.getTime() } : {}),
    updatedMs: row.updated_at.getTime(),
    ...(audienceKey === undefined ? {} : { audienceKey }),
    ...(conditions ? { conditions: compileConditions(conditions) } : {}),
    audiences: [
      ...(audienceKey === undefined ? [] : [audienceKey]),
      ...((conditions && conditionNeeds(conditions)?.audiences) ?? []),
    ],
    steps: steps.map((step) => ({
      ref: String(step.ref),
      schema_key: String(step.schema_key),
      schema_semver: text(step.schema_semver) ?? '0.0.1',
      schema_variant_key: text(step.schema_variant_key) ?? 'default',
      content: compileValues(isJsonObject(step.values) ? step.values : {}, templates),
    })),
    fields: {
      __typename: 'Guide',
      id: row.id,
      channel_id: row.channel_id,
      key: row.key,
      type,
      semver: `0.0.${row.number}`,
      activation_url_rules: objects(content.activation_url_rules).map(
        ({ directive, variable, operator, argument }) => ({
          directive: directive ?? null,
          variable: variable ?? null,
          operator: operator ?? null,
          argument: argument ?? null,
        }),
      ),
      activation_url_patterns: objects(content.activation_url_patterns).map(
        ({ directive, pathname, search }) => ({
          directive: directive ?? null,
          ...(text(pathname) === undefined ? {} : { pathname: String(pathname) }),
          ...(text(search) === undefined ? {} : { search: String(search) }),
        }),
      ),
      inserted_at: row.inserted_at.toISOString(),
      updated_at: row.updated_at.toISOString(),
    },
    stamp: `${row.number} ${row.updated_at.getTime()}`,
  };
}

/** Whether the guide is switched on and its time is now. */
export function isActive(guide: Guide, nowMs: number): boolean {
  return (
    guide.active &&
    !guide.isArchived &&
    nowMs >= (guide.activeFromMs ?? nowMs) &&
    nowMs < (guide.activeUntilMs ?? Number.POSITIVE_INFINITY)
  );
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function objects(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
