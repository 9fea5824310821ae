import {
  type Context,
  Drop,
  type Emitter,
  Hash,
  type Liquid,
  Tag,
  type TagToken,
  type Template,
  type TopLevelToken,
} from 'liquidjs';
import { authoredMarkdownToHtml } from './markdown.ts';
import { engineIn, innerContext, rootOf, type Setting, settingOf } from './setting.ts';
import type { Partial, TemplateEnvironment } from './template-environment.ts';
import { parseSource } from './template-source.ts';

/** Partials in partials. */
const MAX_DEPTH = 5;

const parsed = new WeakMap<TemplateEnvironment, Map<string, Template[]>>();

/** A partial, parsed for where it is used. */
export type ParsedPartial = {
  readonly type: Partial['type'];
  readonly templates: readonly Template[];
};

/** `{% render 'greeting', name: recipient.name %}` */
export class PartialTag extends Tag {
  readonly #partial: ParsedPartial | undefined;
  readonly #variables: Hash;

  constructor(token: TagToken, remaining: TopLevelToken[], liquid: Liquid) {
    super(token, remaining, liquid);
    const { tokenizer } = this;
    tokenizer.skipBlank();
    const quoted = tokenizer.readQuoted();
    if (!quoted) {
      throw new Error(
        `the tag "render" needs a partial's key in quotes, as in {% render 'header' %}`,
      );
    }
    const key = quoted.getText().slice(1, -1);
    tokenizer.skipBlank();
    if (/^(?:with|for)\s+[^:]/.test(tokenizer.remaining())) {
      throw new Error(
        'the tag "render" knows neither "with" nor "for"; pass variables, or use a loop',
      );
    }
    this.#variables = new Hash(tokenizer, liquid.options.keyValueSeparator);
    this.#partial = parsePartial(key, settingOf(liquid));
  }

  *render(context: Context, emitter: Emitter): Generator<unknown, unknown, unknown> {
    const variables = (yield this.#variables.render(context)) as Record<string, unknown>;
    yield* renderPartial(this.liquid, this.#partial, variables, context, emitter);
    return undefined;
  }
}

/**
 * Parses a partial once for an environment, escape mode and depth. Undefined when partials in partials are too deep;
 * throws when there is no partial of this key, or its syntax is wrong.
 */
export function parsePartial(key: string, setting: Setting): ParsedPartial | undefined {
  const { environment } = setting;
  const partial = environment.partial(key);
  if (!partial) throw new Error(`there is no partial ${JSON.stringify(key.slice(0, 100))}`);
  const depth = setting.depth + 1;
  if (depth > MAX_DEPTH) return undefined;
  let known = parsed.get(environment);
  if (!known) {
    known = new Map();
    parsed.set(environment, known);
  }
  const name = `${setting.escape} ${depth} ${key}`;
  let templates = known.get(name);
  if (!templates) {
    try {
      templates = parseSource(partial.content, engineIn({ ...setting, depth }));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`in the partial ${JSON.stringify(key)}: ${reason}`);
    }
    known.set(name, templates);
  }
  return { type: partial.type, templates };
}

/** Renders a partial, which sees its variables and `vars`, and nothing else. */
export function* renderPartial(
  liquid: Liquid,
  partial: ParsedPartial | undefined,
  variables: Readonly<Record<string, unknown>>,
  context: Context,
  emitter: Emitter,
): Generator<unknown, unknown, unknown> {
  if (!partial) throw new Error(`partials are in each other more than ${MAX_DEPTH} deep`);
  const vars: unknown = Reflect.get(rootOf(context), 'vars') ?? {};
  const scope = Object.fromEntries([
    ['vars', vars],
    ...Object.entries(variables).map(([name, value]) => [
      name,
      typeof value === 'boolean' ? new Flag(value) : value,
    ]),
  ]);
  const inner = innerContext(context, scope, {});
  const { renderer } = liquid;
  const templates = [...partial.templates];
  if (partial.type !== 'markdown' || settingOf(liquid).escape !== 'html') {
    // What a tag returns is output: liquidjs returns the whole text here.
    yield renderer.renderTemplates(templates, inner, emitter);
    return undefined;
  }
  const text = yield renderer.renderTemplates(templates, inner);
  context.renderLimit.check(performance.now());
  emitter.write(authoredMarkdownToHtml(String(text)));
  return undefined;
}

/** A boolean that also equals its name: `{% if flag %}` and `{% if flag == "true" %}` are both in use. */
class Flag extends Drop {
  readonly #value: boolean;

  constructor(value: boolean) {
    super();
    this.#value = value;
  }

  override valueOf(): boolean {
    return this.#value;
  }

  equals(other: unknown): boolean {
    return other === this.#value || other === String(this.#value);
  }

  gt(): boolean {
    return false;
  }

  geq(): boolean {
    return false;
  }

  lt(): boolean {
    return false;
  }

  leq(): boolean {
    return false;
  }
}
