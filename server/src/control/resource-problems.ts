import { type TSchema, Type } from 'typebox';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { compileTemplate } from '../templates/compile-template.ts';
import { mjmlToHtml } from '../templates/mjml.ts';
import { memberProblems } from '../workflows/condition-problems.ts';
import { nullable } from '../workflows/nullable.ts';
import { schemaProblems } from '../workflows/schema-problems.ts';
import type { CompileEnvironment, Problem } from '../workflows/step.ts';
import { guideGroupKeyProblem, guideGroupProblems, guideProblems } from './guide-problems.ts';
import { type Resource, type ResourceKind, translationOf } from './resources.ts';

const Name = Type.String({ minLength: 1, maxLength: 255 });
const ChannelTypes = Type.Enum(['email', 'in_app_feed', 'sms', 'push', 'chat', 'http']);

const schemas: Readonly<Record<Exclude<ResourceKind, 'guide' | 'guide_group'>, TSchema>> = {
  layout: Type.Object({
    name: Name,
    html_layout: Type.String(),
    text_layout: nullable(Type.String()),
    is_mjml: nullable(Type.Boolean()),
    footer_links: nullable(
      Type.Array(Type.Object({ text: Type.String(), url: Type.String() }), { maxItems: 100 }),
    ),
    branding_overrides: nullable(Type.Record(Type.String(), nullable(Type.String()))),
  }),
  partial: Type.Object({
    name: Name,
    type: Type.Enum(['html', 'text', 'json', 'markdown']),
    content: Type.String(),
    description: nullable(Type.String({ maxLength: 280 })),
    icon_name: nullable(Type.String()),
    visual_block_enabled: nullable(Type.Boolean()),
    input_schema: nullable(Type.Array(Type.Object({ type: Type.String(), key: Type.String() }))),
  }),
  translation: Type.Object({
    format: Type.Enum(['json', 'po']),
    content: Type.String(),
  }),
  channel_group: Type.Object({
    name: Name,
    channel_type: ChannelTypes,
    operator: nullable(Type.Enum(['any', 'all'])),
    visible_in: nullable(Type.Array(Type.Enum(['workflow', 'broadcast']))),
    channel_rules: nullable(
      Type.Array(
        Type.Object({
          channel_key: Type.String({ minLength: 1 }),
          rule_type: Type.Enum(['if', 'unless', 'always']),
          index: nullable(Type.Integer({ minimum: 0 })),
          variable: nullable(Type.String()),
          operator: nullable(Type.String()),
          argument: nullable(Type.String()),
        }),
        { maxItems: 50 },
      ),
    ),
  }),
};

const KEY = /^[a-z0-9_-]{3,255}$/;
const LOCALE = /^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/;
const NAMESPACE = /^[A-Za-z0-9_-]{1,255}$/;
const MAX_TENANT_LENGTH = 255;

/** What is wrong with the key of a resource, or undefined. */
export function resourceKeyProblem({
  kind,
  key,
}: Pick<Resource, 'kind' | 'key'>): string | undefined {
  if (kind === 'guide_group') return guideGroupKeyProblem(key);
  if (kind !== 'translation') {
    return KEY.test(key)
      ? undefined
      : `the key ${JSON.stringify(key)} must have 3 to 255 of a-z, 0-9, "_" and "-"`;
  }
  const [place = '', ...tenant] = key.split('~');
  const [locale = '', ...namespace] = place.split('/');
  if (!LOCALE.test(locale)) {
    return `the locale ${JSON.stringify(locale)} must be a language such as "es", or "pt-BR"`;
  }
  if (namespace.length > 0 && !NAMESPACE.test(namespace.join('/'))) {
    return `the namespace ${JSON.stringify(namespace.join('/'))} must have up to 255 of letters, digits, "_" and "-"`;
  }
  const name = tenant.join('~');
  return name.length > MAX_TENANT_LENGTH || (tenant.length > 0 && name === '')
    ? `the tenant must have 1 to ${MAX_TENANT_LENGTH} characters`
    : undefined;
}

/** Everything that is wrong with a resource's content, each with its JSON path. */
export function resourceProblems(
  { kind, content }: Resource,
  environment: CompileEnvironment,
): Problem[] {
  if (kind === 'guide') return guideProblems(content, environment);
  if (kind === 'guide_group') return guideGroupProblems(content, environment);
  const problems = schemaProblems(schemas[kind], content, '$');
  if (problems.length > 0) return problems;
  switch (kind) {
    case 'layout':
      return layoutProblems(content, environment);
    case 'partial':
      return syntaxProblems(content, 'content', content.type === 'html', environment);
    case 'translation':
      return translationProblems(content);
    case 'channel_group':
      return channelGroupProblems(content, environment);
  }
}

function layoutProblems(content: JsonObject, environment: CompileEnvironment): Problem[] {
  const html = String(content.html_layout);
  const problems = [
    ...syntaxProblems(content, 'html_layout', true, environment),
    ...syntaxProblems(content, 'text_layout', false, environment),
    ...footerLinkProblems(content, environment),
  ];
  if (!/\{\{-?\s*content\b/.test(html)) {
    const reason = 'lacks {{content}}, the place for what the e-mail says';
    problems.push({ path: '$.html_layout', reason });
  }
  if (content.is_mjml === true && !/<mjml\b/.test(html)) {
    problems.push({ path: '$.html_layout', reason: 'lacks <mjml>, which is_mjml promises' });
  }
  if (content.is_mjml === true && problems.length === 0) problems.push(...mjmlProblems(html));
  return problems;
}

function footerLinkProblems(content: JsonObject, environment: CompileEnvironment): Problem[] {
  const links = Array.isArray(content.footer_links) ? content.footer_links : [];
  return links.filter(isJsonObject).flatMap((link, index) =>
    ['text', 'url'].flatMap((field) =>
      syntaxProblems(link, field, false, environment).map(({ reason }) => ({
        path: `$.footer_links[${index}].${field}`,
        reason,
      })),
    ),
  );
}

function mjmlProblems(source: string): Problem[] {
  try {
    mjmlToHtml(source);
    return [];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: '$.html_layout', reason }];
  }
}

function syntaxProblems(
  content: JsonObject,
  field: string,
  isHtml: boolean,
  { templates }: CompileEnvironment,
): Problem[] {
  const source = content[field];
  if (typeof source !== 'string') return [];
  try {
    compileTemplate(source, { escape: isHtml ? 'html' : 'none', environment: templates });
    return [];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: `$.${field}`, reason }];
  }
}

function translationProblems(content: JsonObject): Problem[] {
  try {
    translationOf({ key: '', content });
    return [];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: '$.content', reason }];
  }
}

function channelGroupProblems(content: JsonObject, environment: CompileEnvironment): Problem[] {
  const rules = Array.isArray(content.channel_rules) ? content.channel_rules : [];
  return rules.filter(isJsonObject).flatMap((rule, index) => {
    const path = `$.channel_rules[${index}]`;
    const key = String(rule.channel_key);
    const channel = environment.channel(key);
    const problems: Problem[] = [];
    if (!channel) {
      problems.push({ path: `${path}.channel_key`, reason: `the account has no channel "${key}"` });
    } else if (channel.type !== content.channel_type) {
      const reason = `the channel "${key}" is of the type ${channel.type}, the group of ${String(content.channel_type)}`;
      problems.push({ path: `${path}.channel_key`, reason });
    }
    return rule.rule_type === 'always' ? problems : [...problems, ...memberProblems(rule, path)];
  });
}
