import {
  type Context,
  type Emitter,
  type FilterImplOptions,
  type Liquid,
  Tag,
  type TagToken,
  type Template,
  type TopLevelToken,
  TypeGuards,
  toValue,
} from 'liquidjs';
import { type FilterCall, toText } from './filters.ts';
import { escapeHtml } from './html.ts';
import {
  type Escape,
  engineIn,
  enterTranslation,
  innerContext,
  leaveTranslation,
  rootOf,
  settingOf,
} from './setting.ts';
import type { TemplateEnvironment } from './template-environment.ts';
import { parseSource } from './template-source.ts';
import { type Reader, translated, translatedText } from './translations.ts';

type Steps = Generator<unknown, unknown, unknown>;

/** Texts, parsed on first use: an environment has so and so many of them. */
const parsed = new WeakMap<TemplateEnvironment, Map<string, Template[]>>();

/**
 * `{% t %}Hello {{ recipient.name }}{% endt %}`: what a translation has under the text between the tags, which is
 * a template itself; the text when no translation has it.
 */
export class TranslationTag extends Tag {
  readonly #text: string;
  readonly #original: Template[];

  constructor(token: TagToken, remaining: TopLevelToken[], liquid: Liquid) {
    super(token, remaining, liquid);
    const end = remaining.findIndex(
      (other) => TypeGuards.isTagToken(other) && other.name === 'endt',
    );
    if (end < 0) throw new Error('tag "t" not closed');
    const [last] = remaining.splice(0, end + 1).slice(-1);
    this.#text = token.input.slice(token.end, last?.begin).trim();
    this.#original = parseSource(token.input.slice(token.end, last?.begin), liquid);
  }

  *render(context: Context, emitter: Emitter): Steps {
    const { environment, escape: mode } = settingOf(this.liquid);
    const text = translatedText(environment, this.#text, readerOf(context));
    const templates = text === undefined ? this.#original : templatesOf(this.liquid, text, mode);
    enterTranslation(context);
    yield this.liquid.renderer.renderTemplates(templates, context, emitter);
    leaveTranslation(context);
    return undefined;
  }
}

/** `{{ "orders.shipped" | t: count: data.count }}` */
export function registerTranslationFilter(liquid: Liquid): void {
  const filter = {
    // In HTML templates its variables are escaped, and its text, whose author is the template's, is not.
    raw: true,
    *handler(
      this: FilterCall & { readonly token: FilterPlace },
      key: unknown,
      ...given: unknown[]
    ): Steps {
      const setting = settingOf(this.liquid);
      const { environment } = setting;
      const name = toText(key);
      const variables = Object.fromEntries(given.filter(isPair));
      const count = 'count' in variables ? Number(toValue(variables.count)) : undefined;
      const text = translated(environment, name, readerOf(this.context), count);
      const mode = isLastOfOutput(this.token) ? setting.escape : 'none';
      if (text === undefined) return mode === 'none' ? name : escapeHtml(name);
      if (!text.includes('{')) return text;
      const context = innerContext(this.context, variables, rootOf(this.context));
      enterTranslation(context);
      const templates = templatesOf(this.liquid, text, mode);
      const result: unknown = yield this.liquid.renderer.renderTemplates(templates, context);
      return result;
    },
  };
  liquid.registerFilter('t', filter as unknown as FilterImplOptions);
}

/** Where a filter is in its template's source. */
type FilterPlace = { readonly input: string; readonly begin: number; readonly end: number };

/** Whether what a filter gives is output as it is: nothing escapes it later. */
function isLastOfOutput({ input, begin, end }: FilterPlace): boolean {
  const after = input.slice(end, end + 1_000).trimStart();
  if (after.startsWith('|')) return false;
  return input.lastIndexOf('{{', begin) > input.lastIndexOf('{%', begin);
}

function templatesOf(liquid: Liquid, text: string, mode: Escape): Template[] {
  const setting = settingOf(liquid);
  let texts = parsed.get(setting.environment);
  if (!texts) {
    texts = new Map();
    parsed.set(setting.environment, texts);
  }
  const key = `${mode} ${setting.depth} ${text}`;
  const known = texts.get(key);
  if (known) return known;
  const templates = parseSource(text, engineIn({ ...setting, escape: mode }));
  texts.set(key, templates);
  return templates;
}

function readerOf(context: Context): Reader {
  const root = rootOf(context);
  return {
    locale: property(Reflect.get(root, 'recipient'), 'locale'),
    tenant: property(Reflect.get(root, 'tenant'), 'id'),
  };
}

function property(holder: unknown, name: string): string | undefined {
  if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, name))
    return undefined;
  const value: unknown = Reflect.get(holder, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function isPair(argument: unknown): argument is [string, unknown] {
  return Array.isArray(argument) && argument.length === 2 && typeof argument[0] === 'string';
}
