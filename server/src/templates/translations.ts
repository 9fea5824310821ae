import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { canonicalLocale } from './locales.ts';
import type { TemplateEnvironment } from './template-environment.ts';

type Index = ReadonlyMap<string, readonly JsonObject[]>;

const indexes = new WeakMap<TemplateEnvironment, Index>();

/** Whose text is looked for. */
export type Reader = { readonly locale: string | undefined; readonly tenant: string | undefined };

/** Where the texts of `t` tags are, besides the default namespace. */
const SYSTEM_NAMESPACE = 'system';

/**
 * The text of a key: `welcome`, `mails.welcome`, `shipping:mails.welcome`. Looked up in the reader's tenant first, and
 * in each of both for the region, the language and the default locale. With a count, an object's `zero`, `one` or
 * `other`. Undefined when nobody has it.
 */
export function translated(
  environment: TemplateEnvironment,
  key: string,
  reader: Reader,
  count: number | undefined,
): string | undefined {
  const index = indexOf(environment);
  const colon = key.indexOf(':');
  for (const scope of scopesOf(environment, reader)) {
    for (const content of index.get(`${scope}\n`) ?? []) {
      const text = textOf(content, key, count);
      if (text !== undefined) return text;
    }
    if (colon < 1) continue;
    for (const content of index.get(`${scope}\n${key.slice(0, colon)}`) ?? []) {
      const text = textOf(content, key.slice(colon + 1), count);
      if (text !== undefined) return text;
    }
  }
  return undefined;
}

/** The text that stands for what a `t` tag has in it, by that text itself. */
export function translatedText(
  environment: TemplateEnvironment,
  original: string,
  reader: Reader,
): string | undefined {
  const index = indexOf(environment);
  for (const scope of scopesOf(environment, reader)) {
    for (const namespace of ['', SYSTEM_NAMESPACE]) {
      for (const content of index.get(`${scope}\n${namespace}`) ?? []) {
        const text = Object.hasOwn(content, original) ? content[original] : undefined;
        if (typeof text === 'string' && text !== '') return text;
      }
    }
  }
  return undefined;
}

function scopesOf(environment: TemplateEnvironment, { locale, tenant }: Reader): string[] {
  const locales = [
    ...new Set([...withLanguage(locale), ...withLanguage(environment.defaultLocale)]),
  ];
  const ofTenant = tenant === undefined ? [] : locales.map((one) => `${tenant}\n${one}`);
  return [...ofTenant, ...locales.map((one) => `\n${one}`)];
}

/** `pt-BR` and `pt`; nothing for what is no locale. */
function withLanguage(text: string | undefined): string[] {
  const locale = text === undefined ? undefined : canonicalLocale(text);
  if (locale === undefined) return [];
  const [language = ''] = locale.split('-');
  return [locale, language];
}

function indexOf(environment: TemplateEnvironment): Index {
  const known = indexes.get(environment);
  if (known) return known;
  const index = new Map<string, JsonObject[]>();
  for (const { locale, namespace = '', tenant = '', content } of environment.translations) {
    const key = `${tenant}\n${canonicalLocale(locale) ?? locale}\n${namespace}`;
    const list = index.get(key);
    if (list) list.push(content);
    else index.set(key, [content]);
  }
  indexes.set(environment, index);
  return index;
}

function textOf(content: JsonObject, key: string, count: number | undefined): string | undefined {
  const value = at(content, key);
  if (typeof value === 'string') return value;
  if (!isJsonObject(value)) return undefined;
  const forms = count === 0 ? ['zero', 'other'] : count === 1 ? ['one', 'other'] : ['other'];
  for (const form of forms) {
    const text = Object.hasOwn(value, form) ? value[form] : undefined;
    if (typeof text === 'string') return text;
  }
  return undefined;
}

/** The value of a key that is written as it is, else of a path. */
function at(content: JsonObject, key: string): Json | undefined {
  if (Object.hasOwn(content, key)) return content[key];
  let value: Json | undefined = content;
  for (const part of key.split('.')) {
    if (!isJsonObject(value) || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}
