import type { EnvironmentContext } from '../context.ts';
import type { FieldError } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { mapInTurns } from '../lib/map-in-turns.ts';
import type { TemplateEnvironment } from '../templates/template-environment.ts';
import { templateUses } from '../templates/template-uses.ts';
import { translated } from '../templates/translations.ts';
import { conditionNeeds } from '../workflows/condition-needs.ts';
import { isRooted } from '../workflows/paths.ts';
import type { CompileEnvironment } from '../workflows/step.ts';
import { unknownSettings } from '../workflows/unknown-settings.ts';
import { ignoredSettings } from './ignored-settings.ts';
import type { WorkflowToPublish } from './push-problems.ts';
import { type Resource, resourcePlace, translationKey, translationOf } from './resources.ts';

export type Pushed = {
  /** Without problems, as everything here. */
  readonly workflows: readonly WorkflowToPublish[];
  readonly resources: readonly Resource[];
  /** What they share, with what is pushed. */
  readonly environment: CompileEnvironment;
};

const MAX_WARNINGS = 100;
/** Names at the top level that are neither of the scope nor of the data: of loops and layouts. */
const OTHER_NAMES = new Set([
  'forloop',
  'tablerowloop',
  'content',
  'footer_links',
  'activities',
  'actors',
  'total_activities',
  'total_actors',
  'current_message',
]);

/** What is doubtful in a push: unused layouts and partials, ignored settings, unknown data, texts that are missing. */
export async function pushWarnings(ctx: EnvironmentContext, pushed: Pushed): Promise<FieldError[]> {
  const { workflows, resources, environment } = pushed;
  const warnings = [
    ...(await unusedWarnings(ctx, pushed)),
    ...resources.flatMap(layoutWarnings),
    ...resources.flatMap(guideWarnings),
    ...(await mapInTurns(resources, (resource) => localeWarnings(resource, environment))).flat(),
    ...(await mapInTurns(workflows, (workflow) => workflowWarnings(workflow, environment))).flat(),
  ];
  return warnings.slice(0, MAX_WARNINGS);
}

/** How the JSON of what uses a layout or partial looks, here and, with blanks, in the database. */
const LAYOUT_USE = '"layout_key": ?"([^"]+)"';
const PARTIAL_USE = `(?:render +(?:\\\\"|')|"key": ?")([a-z0-9_-]+)`;

/** Layouts and partials that nothing names: not what is pushed, not what was published before. */
async function unusedWarnings(
  { db, environment }: EnvironmentContext,
  { workflows, resources }: Pushed,
): Promise<FieldError[]> {
  const uses = await mapInTurns([...workflows, ...resources], ({ content }) => {
    const text = JSON.stringify(content);
    return [...usesIn('layout', text, LAYOUT_USE), ...usesIn('partial', text, PARTIAL_USE)];
  });
  const named = new Set(uses.flat());
  const unnamed = resources.filter(
    (resource) =>
      (resource.kind === 'layout' || resource.kind === 'partial') &&
      !named.has(resourcePlace(resource)),
  );
  if (unnamed.length === 0) return [];
  const rows = await db.query<{ readonly layout: string | null; readonly partial: string | null }>(
    `
    with content as (
      select v.content::text as text
      from workflow w
      join workflow_version v on v.id = w.published_version_id
      where w.environment_id = $1
      union all
      select r.content::text
      from resource r
      where r.environment_id = $1
        and r.kind <> 'translation'
    )
    select use[1] as layout, null as partial
    from content, regexp_matches(text, $2, 'g') as use
    union
    select null, use[1]
    from content, regexp_matches(text, $3, 'g') as use`,
    [environment.id, LAYOUT_USE, PARTIAL_USE],
  );
  for (const { layout, partial } of rows) {
    if (layout !== null) named.add(resourcePlace({ kind: 'layout', key: layout }));
    if (partial !== null) named.add(resourcePlace({ kind: 'partial', key: partial }));
  }
  return unnamed
    .filter((resource) => !named.has(resourcePlace(resource)))
    .map((resource) => ({
      field: resourcePlace(resource),
      message: `nothing uses this ${resource.kind}`,
    }));
}

function usesIn(kind: 'layout' | 'partial', text: string, pattern: string): string[] {
  return [...text.matchAll(new RegExp(pattern, 'g'))].map(([, key = '']) =>
    resourcePlace({ kind, key }),
  );
}

function layoutWarnings(resource: Resource): FieldError[] {
  const { kind, content } = resource;
  if (kind !== 'layout' || String(content.text_layout ?? '').trim() !== '') return [];
  return [
    {
      field: `${resourcePlace(resource)}: $.text_layout`,
      message: 'is empty; the text part of e-mails will be made of their HTML',
    },
  ];
}

function guideWarnings(resource: Resource): FieldError[] {
  if (resource.kind !== 'guide') return [];
  const { goal_attachment = null } = resource.content;
  return ignoredSettings({ goal_attachment }).map(({ path, reason }) => ({
    field: `${resourcePlace(resource)}: ${path}`,
    message: reason,
  }));
}

/** Texts that another language has and the default one lacks: whoever has no translation would see nothing. */
function localeWarnings(resource: Resource, { templates }: CompileEnvironment): FieldError[] {
  if (resource.kind !== 'translation') return [];
  const { locale, namespace } = translationKey(resource.key);
  if (locale === templates.defaultLocale) return [];
  return textKeys(translationOf(resource).content)
    .filter((key) => !hasDefaultText(templates, namespace ? `${namespace}:${key}` : key))
    .map((key) => ({
      field: `${resourcePlace(resource)}: $.content`,
      message: `has "${key}", which the default locale "${templates.defaultLocale}" lacks`,
    }));
}

function workflowWarnings(
  { key, content }: WorkflowToPublish,
  environment: CompileEnvironment,
): FieldError[] {
  const { templates } = environment;
  if (!isJsonObject(content)) return [];
  const unknown = (conditionNeeds(content)?.audiences ?? []).filter(
    (audience) => !environment.audience(audience),
  );
  const schema = content.trigger_data_json_schema;
  const told = new Set<string>();
  const warn = (path: string, message: string): FieldError[] => {
    if (told.has(message)) return [];
    told.add(message);
    return [{ field: `${key}: ${path}`, message }];
  };
  const known = ignoredSettings(content);
  const others = unknownSettings(content, environment).filter(
    ({ path }) => !known.some((one) => one.path === path),
  );
  const ignored = [...known, ...others].map(({ path, reason }) => ({
    field: `${key}: ${path}`,
    message: reason,
  }));
  const absent = unknown.map((audience) => ({
    field: `${key}: $`,
    message: `asks for the audience "${audience}", which the environment does not have yet: nobody is in it`,
  }));
  const doubtful = templateTexts(content.steps ?? null, '$.steps').flatMap(({ path, text }) => {
    const uses = templateUses(text, templates);
    return [
      ...uses.paths.flatMap((used) => {
        const name = dataName(used);
        if (!name || !isJsonObject(schema) || mayHave(schema, name)) return [];
        return warn(
          path,
          `uses data.${name.join('.')}, which trigger_data_json_schema does not have`,
        );
      }),
      ...uses.translations.flatMap((used) => {
        if (hasDefaultText(templates, used)) return [];
        return warn(
          path,
          `the default locale "${templates.defaultLocale}" has no translation of "${used}"`,
        );
      }),
    ];
  });
  return [...ignored, ...absent, ...doubtful];
}

/** The path below the trigger's data, or undefined for what is no data. */
function dataName(path: readonly string[]): readonly string[] | undefined {
  const [root = ''] = path;
  if (root === 'data') return path.length > 1 ? path.slice(1) : undefined;
  return isRooted(path) || OTHER_NAMES.has(root) ? undefined : path;
}

/** Whether data of this schema can have something there, as far as `properties` say. */
function mayHave(schema: JsonObject, path: readonly string[]): boolean {
  const [name, ...rest] = path;
  const { properties } = schema;
  if (name === undefined || !isJsonObject(properties)) return true;
  const isOpen = ['patternProperties', '$ref', 'allOf', 'anyOf', 'oneOf', 'if'].some(
    (keyword) => keyword in schema,
  );
  const inside = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (inside === undefined) return isOpen || isJsonObject(schema.additionalProperties);
  return isJsonObject(inside) ? mayHave(inside, rest) : true;
}

type Text = { readonly path: string; readonly text: string };

/** Every text that may be a template. */
function templateTexts(value: Json, path: string): Text[] {
  if (typeof value === 'string') return value.includes('{') ? [{ path, text: value }] : [];
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => templateTexts(item, `${path}[${index}]`));
  }
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => templateTexts(item, `${path}.${key}`));
}

/** The texts of a translation by dotted keys; the forms of a plural are one. */
function textKeys(texts: JsonObject, prefix = ''): string[] {
  return Object.entries(texts).flatMap(([key, value]) => {
    if (!isJsonObject(value)) return [prefix + key];
    if (Object.keys(value).every((form) => PLURAL_FORMS.has(form))) return [prefix + key];
    return textKeys(value, `${prefix}${key}.`);
  });
}

const PLURAL_FORMS = new Set(['zero', 'one', 'two', 'few', 'many', 'other']);

function hasDefaultText(environment: TemplateEnvironment, key: string): boolean {
  const reader = { locale: undefined, tenant: undefined };
  return translated(environment, key, reader, 1) !== undefined;
}
