import {
  type Context,
  type Emitter,
  type Liquid,
  Tag,
  type TagToken,
  type Template,
  type TopLevelToken,
  Value,
} from 'liquidjs';
import { isJsonObject, type Json } from '../lib/json.ts';
import { authoredMarkdownToHtml } from './markdown.ts';
import { type ParsedPartial, parsePartial, renderPartial } from './partial-tag.ts';
import { engineIn, settingOf } from './setting.ts';
import { splitLiquid } from './split-liquid.ts';
import { parseSource } from './template-source.ts';

type Steps = Generator<unknown, unknown, unknown>;

/** What an attribute of a partial's block is worth in a context, or the steps that lead there. */
type Attribute = (context: Context) => unknown;

/** `{% visual_block 2 %}`: only in the templates that are made of visual blocks. */
export class VisualBlockTag extends Tag {
  readonly #render: (context: Context, emitter: Emitter) => Steps;

  constructor(token: TagToken, remaining: TopLevelToken[], liquid: Liquid) {
    super(token, remaining, liquid);
    const block = settingOf(liquid).blocks?.[Number(token.args)];
    if (!block) throw new Error('tag "visual_block" not found');
    this.#render =
      block.kind === 'markdown'
        ? markdownBlock(parseSource(block.content, liquid), liquid)
        : partialBlock(
            parsePartial(block.key, settingOf(liquid)),
            Object.entries(block.attrs).map(([name, value]) => [name, attribute(value, liquid)]),
            liquid,
          );
  }

  *render(context: Context, emitter: Emitter): Steps {
    yield* this.#render(context, emitter);
    return undefined;
  }
}

function markdownBlock(templates: Template[], liquid: Liquid) {
  return function* (context: Context, emitter: Emitter): Steps {
    const text = yield liquid.renderer.renderTemplates(templates, context);
    context.renderLimit.check(performance.now());
    emitter.write(authoredMarkdownToHtml(String(text)));
    return undefined;
  };
}

function partialBlock(
  partial: ParsedPartial | undefined,
  attributes: readonly (readonly [string, Attribute])[],
  liquid: Liquid,
) {
  return function* (context: Context, emitter: Emitter): Steps {
    const variables: [string, unknown][] = [];
    for (const [name, evaluate] of attributes) variables.push([name, yield evaluate(context)]);
    yield* renderPartial(liquid, partial, Object.fromEntries(variables), context, emitter);
    return undefined;
  };
}

/** Texts are templates; one that is a single output gives its value as it is, a list for instance. */
function attribute(value: Json, liquid: Liquid): Attribute {
  if (Array.isArray(value)) {
    const items = value.map((item: Json) => attribute(item, liquid));
    return function* (context): Steps {
      const list: unknown[] = [];
      for (const item of items) list.push(yield item(context));
      return list;
    };
  }
  if (isJsonObject(value)) {
    const fields = Object.entries(value).map(
      ([name, field]) => [name, attribute(field, liquid)] as const,
    );
    return function* (context): Steps {
      const entries: [string, unknown][] = [];
      for (const [name, field] of fields) entries.push([name, yield field(context)]);
      return Object.fromEntries(entries);
    };
  }
  const parts = typeof value === 'string' ? splitLiquid(value) : [];
  if (typeof value !== 'string' || parts.every(({ kind }) => kind === 'text')) return () => value;
  // Not escaped here: the partial does that where it puts the value.
  const plain = engineIn({ ...settingOf(liquid), escape: 'none' });
  const [only, ...others] = parts.filter(({ kind, text }) => kind !== 'text' || text.trim() !== '');
  const expression =
    others.length === 0 && only?.kind === 'output'
      ? only.text.replace(/^\{\{-?|-?\}\}$/g, '')
      : undefined;
  if (expression !== undefined) {
    const output = new Value(expression, plain);
    return function* (context): Steps {
      return yield output.value(context, false);
    };
  }
  const templates = parseSource(value, plain);
  return function* (context): Steps {
    return yield plain.renderer.renderTemplates(templates, context);
  };
}
