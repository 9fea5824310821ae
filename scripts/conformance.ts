import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isJsonObject, type JsonObject } from '../server/src/lib/json.ts';
import { operators } from '../server/src/workflows/condition-operators.ts';
import { stepDefinitions } from '../server/src/workflows/steps/registry.ts';
import { Workflow } from '../server/src/workflows/workflow-schema.ts';

/** One thing that a workflow can say, by the tag that tests of it have in their titles: `[delay.delay_for]`. */
type Feature = { readonly section: string; readonly name: string };

type Test = { readonly file: string; readonly title: string };

/** What Knock's templates have beyond Liquid's own filters and tags. */
const TEMPLATE_FEATURES = [
  ...[
    'timezone',
    'date',
    'format_date_in_locale',
    'format_datetime_in_locale',
    'format_number',
    'currency',
    'rounded_currency',
    'json',
    'from_json',
    'pluralize',
    'titlecase',
    'md5',
    'sha256',
    'hmac_sha256',
    'intersect',
    'from_markdown',
    'compare_versions',
    't',
    'user',
    'object',
    'tenant',
    'subscriptions',
  ].map((name) => `filter.${name}`),
  'tag.render',
  'tag.t',
];

/** Fields that say nothing by themselves. */
const PLAIN = new Set([
  'type',
  'ref',
  'name',
  'description',
  '$schema',
  'tags',
  'unit',
  'value',
  'key',
  'label',
  'day',
  'from',
  'until',
]);
/** Operators that need more than the run itself, and what a condition on an earlier step's message is. */
const LOADED_CONDITIONS = ['is_audience_member', 'is_not_audience_member', 'message_status'];

const TESTS = join(import.meta.dirname, '..', 'server', 'test');

/**
 * Every setting of every step, every operator and template function, with the tests that prove it. Throws when one
 * has no test, or a tag names nothing.
 */
export async function conformanceDocument(): Promise<string> {
  const tests = await taggedTests();
  const features = allFeatures();
  const problems = [
    ...features
      .filter((feature) => proofs(feature, tests).length === 0)
      .map((feature) => `no test is tagged ${tag(feature)}`),
    ...unknownTags(features, tests),
  ];
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const sections = [...new Set(features.map(({ section }) => section))];
  return [
    '# What workflows can do',
    '',
    'Every step, setting, operator and template function, and the test that proves it. Made from the step registry and',
    'the tests by `npm run generate`: nothing is listed without a test.',
    '',
    'How to: [steps](workflows/steps.md), [channels](workflows/channels.md), [conditions](workflows/conditions.md),',
    '[preferences](workflows/preferences.md), [batch and throttle](workflows/batch.md), [time](workflows/time.md),',
    '[waiting for events](workflows/wait-for-event.md), [recipients](workflows/recipients.md),',
    '[files and push](workflows/files.md), [examples](workflows/examples.md).',
    '',
    ...sections.flatMap((section) => [
      `## ${section}`,
      '',
      '| setting | proven by |',
      '|---|---|',
      ...features
        .filter((feature) => feature.section === section)
        .map(
          (feature) =>
            `| \`${feature.name}\` | ${proofs(feature, tests).slice(0, 3).map(link).join('<br>')} |`,
        ),
      '',
    ]),
    ...NOT_HERE,
  ].join('\n');
}

/** What Knock's specification has and Belfry does not, by hand. */
const NOT_HERE = [
  '## Not here yet',
  '',
  '- The step that shows a guide (`channel_type` `in_app_guide`, `guide_key`).',
  '- Messages of broadcasts as events to wait for (`source_type`).',
  '- Events of integration sources (`integration_source_event`).',
  '- Goals: `goal_attachment` of a workflow; a push warns of it.',
  '',
];

function allFeatures(): Feature[] {
  return [
    ...settingsOf(Workflow, '').map((name) => ({ section: 'workflow', name })),
    ...stepDefinitions().flatMap(({ type, schema }) =>
      [...new Set(settingsOf(schema, ''))].map((name) => ({ section: type, name })),
    ),
    ...[...Object.keys(operators), ...LOADED_CONDITIONS].map((name) => ({
      section: 'condition',
      name,
    })),
    ...TEMPLATE_FEATURES.map((name) => ({ section: 'template', name })),
  ];
}

/** Names of the settings in a schema: fields of `settings` stand for themselves, and so do those of a list's items. */
function settingsOf(schema: unknown, prefix: string): string[] {
  return Object.entries(objectOf(schema)?.properties ?? {}).flatMap(([name, field]) => {
    if (PLAIN.has(name)) return [];
    if (name === 'settings' && prefix === '') return settingsOf(field, '');
    const items = itemsOf(field);
    if (items) return [`${prefix}${name}`, ...settingsOf(items, '')];
    const inner = settingsOf(field, `${prefix}${name}.`);
    return inner.length > 0 ? inner : [`${prefix}${name}`];
  });
}

type ObjectSchema = JsonObject & { readonly properties: JsonObject };

/** The object that a field is, or may be (`nullable`). */
function objectOf(schema: unknown): ObjectSchema | undefined {
  const found = variants(schema).find(({ properties }) => isJsonObject(properties));
  return found as ObjectSchema | undefined;
}

/** What a list holds. */
function itemsOf(schema: unknown): unknown {
  const list = variants(schema).find(({ items }) => isJsonObject(items));
  return list?.items;
}

function variants(schema: unknown): JsonObject[] {
  if (!isJsonObject(schema)) return [];
  return Array.isArray(schema.anyOf) ? schema.anyOf.filter(isJsonObject) : [schema];
}

async function taggedTests(): Promise<Test[]> {
  const files = (await readdir(TESTS, { recursive: true }))
    .filter((file) => file.endsWith('.test.ts'))
    .sort();
  return files.flatMap((file) => {
    const text = readFileSync(join(TESTS, file), 'utf8');
    const titles = [
      ...text.matchAll(
        /(['`])((?:(?!\1)[^\\\n]|\\.)*\[[a-z_]+(?:\/[a-z_]+)?\.[\w.*$]+\](?:(?!\1)[^\\\n]|\\.)*)\1/g,
      ),
    ];
    return titles.map((match) => ({ file, title: match[2] ?? '' }));
  });
}

const TAG = /\[([a-z_]+(?:\/[a-z_]+)?)\.([\w.*$]+)\]/g;

function proofs(feature: Feature, tests: readonly Test[]): Test[] {
  return tests.filter(({ file, title }) =>
    [...title.matchAll(TAG)].some(([, section, name]) => {
      // What all channel steps, or all steps, have in common is proven once.
      const kind = feature.section.startsWith('channel/') ? 'channel' : feature.section;
      const isCommon = (section === 'channel' && kind === 'channel') || section === 'step';
      if (section !== feature.section && !isCommon) return false;
      if (name === feature.name) return true;
      return name === '*' && readFileSync(join(TESTS, file), 'utf8').includes(`'${feature.name}'`);
    }),
  );
}

/** Other families of tags (preferences, recipients) are for readers: only those of listed sections must exist. */
function unknownTags(features: readonly Feature[], tests: readonly Test[]): string[] {
  const sections = new Set(features.map(({ section }) => section));
  const known = new Set(features.map(({ section, name }) => `${section}.${name}`));
  return tests.flatMap(({ file, title }) =>
    [...title.matchAll(TAG)].flatMap(([text, section, name]) =>
      !sections.has(section ?? '') || name === '*' || known.has(`${section}.${name}`)
        ? []
        : [`${file} has the tag ${text}, which names nothing`],
    ),
  );
}

function tag({ section, name }: Feature): string {
  return `[${section}.${name}]`;
}

function link({ file, title }: Test): string {
  const text = title.replaceAll(TAG, '').replaceAll('|', '\\|').replace(/\s+/g, ' ').trim();
  return `[${text}](../server/test/${file})`;
}
