import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { Partial, Translation } from '../templates/template-environment.ts';
import type { ChannelGroup, ChannelType, EmailLayout } from '../workflows/step.ts';

/** What a push can bring beside workflows. */
export const RESOURCE_KINDS = ['layout', 'partial', 'translation', 'channel_group'] as const;

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
  return `${kind === 'channel_group' ? 'channel-groups' : `${kind}s`}/${key}`;
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
  const texts = translationTexts(content);
  if ('reason' in texts) throw new Error(`translations/${key} ${texts.reason}`);
  return { ...translationKey(key), content: texts.value };
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

/** The texts that a translation's `content`, a text itself, holds; or why there are none. */
export function translationTexts(
  content: JsonObject,
): { readonly value: JsonObject } | { readonly reason: string } {
  if (content.format === 'po') return { reason: 'is a PO file, which is not supported yet' };
  let value: Json;
  try {
    value = JSON.parse(String(content.content));
  } catch (error) {
    return { reason: `is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  return isJsonObject(value) ? { value } : { reason: 'must hold a JSON object of texts' };
}

function numberOr(value: Json | undefined, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
