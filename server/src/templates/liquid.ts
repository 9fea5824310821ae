import { Context, type Emitter, Liquid, Tag, toValueSync } from 'liquidjs';
import { registerDataFilters } from './data-filters.ts';
import { registerFilters, registerHtmlFilters, toText } from './filters.ts';
import { escapeHtml } from './html.ts';
import { limitFilterTime } from './limit-filters.ts';
import { registerLocaleFilters } from './locale-filters.ts';
import { PartialTag } from './partial-tag.ts';
import type { Escape } from './setting.ts';
import type { TemplateScope } from './template-scope.ts';
import { MAX_TEMPLATE_LENGTH } from './template-source.ts';
import { registerTranslationFilter, TranslationTag } from './translation-tag.ts';
import { VisualBlockTag } from './visual-block-tag.ts';

/** Characters of a rendered text. */
export const MAX_OUTPUT_LENGTH = 1024 * 1024;
/** Characters and list items that the tags and filters of one rendering may copy. */
const MAX_MEMORY = 4 * 1024 * 1024;
/** Milliseconds of one rendering. */
export const MAX_RENDER_MS = 200;

const FILE_TAGS = ['include', 'layout', 'block'];

const engines = new Map<'none' | 'html', Liquid>();

/** The Liquid engine of an escape mode, made on first use. It can reach no file. */
export function liquidFor(escaping: Escape): Liquid {
  const mode = escaping === 'none' ? 'none' : 'html';
  let engine = engines.get(mode);
  if (!engine) {
    engine = createLiquid(mode);
    engines.set(mode, engine);
  }
  return engine;
}

/** What one rendering sees, and the limits that all of its filters and tags share. */
export function createContext(escaping: Escape, scope: TemplateScope): Context {
  const liquid = liquidFor(escaping);
  const globals = scope.data ?? {};
  return new Context(scope, liquid.options, { sync: true, globals }, { liquid });
}

/** What an HTML template does to every output that does not end in a `raw` filter. */
export function escapeOutput(value: unknown): string {
  return escapeHtml(toText(value));
}

export class OutputLimitError extends Error {
  constructor() {
    super(`the text is longer than ${MAX_OUTPUT_LENGTH} characters`);
  }
}

/** Collects a text up to the limit. liquidjs' own collects without one, also in `capture`. */
export class BoundedEmitter implements Emitter {
  buffer = '';

  write(value: unknown): void {
    this.buffer += toText(value);
    if (this.buffer.length > MAX_OUTPUT_LENGTH) throw new OutputLimitError();
  }
}

function createLiquid(escaping: 'none' | 'html'): Liquid {
  const liquid = new Liquid({
    // An in-memory file system without files: whatever looks for one finds none.
    templates: {},
    ownPropertyOnly: true,
    strictFilters: true,
    strictVariables: false,
    dynamicPartials: false,
    locale: 'en-US',
    timezoneOffset: 0,
    parseLimit: MAX_TEMPLATE_LENGTH,
    renderLimit: MAX_RENDER_MS,
    memoryLimit: MAX_MEMORY,
    ...(escaping === 'html' ? { outputEscape: escapeOutput } : {}),
  });
  for (const name of FILE_TAGS) liquid.registerTag(name, UnsupportedTag);
  liquid.registerTag('render', PartialTag);
  liquid.registerTag('t', TranslationTag);
  liquid.registerTag('visual_block', VisualBlockTag);
  registerFilters(liquid);
  registerLocaleFilters(liquid);
  registerDataFilters(liquid);
  registerTranslationFilter(liquid);
  if (escaping === 'html') registerHtmlFilters(liquid);
  limitFilterTime(liquid);
  limitNestedOutput(liquid);
  return liquid;
}

class UnsupportedTag extends Tag {
  constructor(...[token, remaining, liquid]: ConstructorParameters<typeof Tag>) {
    super(token, remaining, liquid);
    throw new Error(`the tag "${token.name}" is not supported: a template cannot use other files`);
  }

  render(): void {}
}

/** Texts that `capture` collects count as memory and have the limit of a whole output. */
function limitNestedOutput(liquid: Liquid): void {
  const { renderer } = liquid;
  const renderTemplates = renderer.renderTemplates.bind(renderer);
  renderer.renderTemplates = (templates, context, emitter) =>
    renderTemplates(templates, context, emitter ?? new CapturingEmitter(context));
}

class CapturingEmitter extends BoundedEmitter {
  readonly #context: Context;

  constructor(context: Context) {
    super();
    this.#context = context;
  }

  override write(value: unknown): void {
    const before = this.buffer.length;
    super.write(value);
    this.#context.memoryLimit.use(this.buffer.length - before);
  }
}

/** A synchronous rendering's result. */
export const finish = toValueSync;
