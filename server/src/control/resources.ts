import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { parseTranslation } from '../templates/parse-translation.ts';
import type { Partial, Translation } from '../templates/template-environment.ts';
import type { ChannelGroup, ChannelType, EmailLayout } from '../workflows/step.ts';

/** What a push can bring beside workflows. */
export const RESOURCE_KINDS = [
  'layout',
  'partial',
  'translation',
  'channel_group',
  'guide',
  'guide_group',
] as const;

export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** A resource with the content of its files. */
export type Resource = {
  readonly kind: ResourceKind;
  /** Of a translation `es`, `es/namespace`, `es/namespace~tenant` or `es~tenant`. */
  readonly key: string;
  readonly content: JsonObject;
};

/** What a problem of it begins with, such as `layouts/default`; it is the directory's name too. */
export function resourcePlace({ kind, key }: Pick<Resource, 'kind' | 'key'>): string {
  return `${kind.replace('_', '-')}s/${key}`;
}

/** The functions below read a content that has no problems (see `resource-problems.ts`). */
export function layoutOf({ content }: Pick<Resource, 'content'>): EmailLayout {
  const links = Array.isArray(content.footer_links) ? content.footer_links : [];
  return {
    html: String(content.html_layout),
    text: String(content.text_layout ?? ''),
    isMjml: content.is_mjml === true,
    footerLinks: links
      .filter(isJsonObject)
      .map(({ text, url }) => ({ text: String(text), url: String(url) })),
    ...(isJsonObject(content.branding_overrides) ? { branding: content.branding_overrides } : {}),
  };
}

export function partialOf({ content }: Pick<Resource, 'content'>): Partial {
  return { type: content.type as Partial['type'], content: String(content.content) };
}

export function channelGroupOf({ content }: Pick<Resource, 'content'>): ChannelGroup {
  const rules = Array.isArray(content.channel_rules) ? content.channel_rules : [];
  return {
    type: content.channel_type as ChannelType,
    operator: content.operator === 'all' ? 'all' : 'any',
    rules: rules
      .filter(isJsonObject)
      .map((rule, position) => ({ rule, index: numberOr(rule.index, position) }))
      .sort((one, other) => one.index - other.index)
      .map(({ rule }) => ({
        type: rule.rule_type as ChannelGroup['rules'][number]['type'],
        channelKey: String(rule.channel_key),
        ...(typeof rule.variable === 'string'
          ? {
              condition: {
                variable: rule.variable,
                operator: rule.operator ?? null,
                argument: rule.argument ?? null,
              },
            }
          : {}),
      })),
  };
}

/** Throws an Error that says why the texts cannot be read. */
export function translationOf({ key, content }: Pick<Resource, 'key' | 'content'>): Translation {
  const texts = parseTranslation(content.format === 'po' ? 'po' : 'json', String(content.content));
  return { ...translationKey(key), content: texts };
}

/** `es/ns~tenant` in parts. */
export function translationKey(key: string): Omit<Translation, 'content'> {
  const [place = '', ...tenant] = key.split('~');
  const [locale = '', namespace] = place.split('/');
  return {
    locale,
    ...(namespace ? { namespace } : {}),
    ...(tenant.length > 0 ? { tenant: tenant.join('~') } : {}),
  };
}

function numberOr(value: Json | undefined, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
