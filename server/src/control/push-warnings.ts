import type { EnvironmentContext } from '../context.ts';
import type { FieldError } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { TemplateEnvironment } from '../templates/template-environment.ts';
import { templateUses } from '../templates/template-uses.ts';
import { translated } from '../templates/translations.ts';
import { conditionNeeds } from '../workflows/condition-needs.ts';
import { isRooted } from '../workflows/paths.ts';
import type { CompileEnvironment } from '../workflows/step.ts';
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

/** What is doubtful in a push: unused layouts and partials, unknown data, texts that are missing. */
export async function pushWarnings(ctx: EnvironmentContext, pushed: Pushed): Promise<FieldError[]> {
  const { workflows, resources, environment } = pushed;
  const warnings = [
    ...(await unusedWarnings(ctx, pushed)),
    ...resources.flatMap(layoutWarnings),
    ...resources.flatMap((resource) => localeWarnings(resource, environment)),
    ...workflows.flatMap((workflow) => workflowWarnings(workflow, environment)),
  ];
  return warnings.slice(0, MAX_WARNINGS);
}

/** Layouts and partials that nothing names: not what is pushed, not what was published before. */
async function unusedWarnings(
  { db, environment }: EnvironmentContext,
  { workflows, resources }: Pushed,
): Promise<FieldError[]> {
  const texts = [...workflows, ...resources].map(({ content }) => JSON.stringify(content));
  const unnamed = resources.flatMap((resource) => {
    const pattern = usePattern(resource);
    if (pattern === undefined) return [];
    const expression = new RegExp(pattern);
    return texts.some((text) => expression.test(text)) ? [] : [{ resource, pattern }];
  });
  const unused = unnamed.slice(0, MAX_WARNINGS);
  if (unused.length === 0) return [];
  const rows = await db.query<{ readonly pattern: string }>(
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
    select pattern
    from unnest($2::text[]) as pattern
    where exists (
      select
      from content
      where text ~ pattern
    )`,
    [environment.id, unused.map(({ pattern }) => pattern)],
  );
  const used = new Set(rows.map(({ pattern }) => pattern));
  return unused
    .filter(({ pattern }) => !used.has(pattern))
    .map(({ resource }) => ({
      field: resourcePlace(resource),
      message: `nothing uses this ${resource.kind}`,
    }));
}

/** How the JSON text of what uses it looks, here and in the database; keys have no special characters. */
function usePattern({ kind, key }: Resource): string | undefined {
  if (kind === 'layout') return `"layout_key": ?"${key}"`;
  if (kind === 'partial') return `render +(\\\\"|')${key}(\\\\"|')|"key": ?"${key}"`;
  return undefined;
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
  return [...absent, ...doubtful];
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
