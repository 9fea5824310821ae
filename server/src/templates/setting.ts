import { Context, type Liquid } from 'liquidjs';
import type { TemplateEnvironment } from './template-environment.ts';
import type { Block } from './visual-blocks.ts';

/**
 * What happens to the value of an output before it joins the text. `markdown` escapes as `html` does, but what
 * the template gives is markdown still: it becomes HTML later.
 */
export type Escape = 'none' | 'html' | 'markdown';

/** What tags and filters know of the template that they are in. */
export type Setting = {
  readonly escape: Escape;
  readonly environment: TemplateEnvironment;
  /** Of a template that is made of visual blocks. */
  readonly blocks?: readonly Block[];
  /** Partials that lead to this one; 0 for a template itself. */
  readonly depth: number;
  /** The engine of an escape mode, the same for all templates. */
  readonly engine: (mode: Escape) => Liquid;
};

const settings = new WeakMap<Liquid, Setting>();

/** The engine, as a template with this setting sees it. Costs an object, made once a template. */
export function engineIn(setting: Setting): Liquid {
  const engine: Liquid = Object.create(setting.engine(setting.escape));
  settings.set(engine, setting);
  return engine;
}

/** The setting of the template that a tag or filter is in. */
export function settingOf(liquid: Liquid): Setting {
  const setting = settings.get(liquid);
  if (!setting) throw new TypeError('the template was parsed without a setting');
  return setting;
}

const ROOT = 'root';

/** The run's scope, wherever in partials and translations a filter is. */
export function rootOf(context: Context): object {
  return context.getRegister<object | undefined>(ROOT) ?? context.environments;
}

/**
 * A context that sees nothing but `scope` and `globals`, within the limits of the one that it is in.
 */
export function innerContext(context: Context, scope: object, globals: object): Context {
  const inner = new Context(
    scope,
    context.opts,
    { sync: context.sync, globals: globals as never },
    {
      renderLimit: context.renderLimit,
      memoryLimit: context.memoryLimit,
      liquid: context.liquid,
    },
  );
  inner.setRegister(ROOT, rootOf(context));
  inner.setRegister(DEPTH, depthOf(context));
  return inner;
}

const DEPTH = 'depth';
const MAX_TRANSLATION_DEPTH = 5;

function depthOf(context: Context): number {
  return context.getRegister<number | undefined>(DEPTH) ?? 0;
}

/** Before a translation is rendered, whose text may have translations in it. */
export function enterTranslation(context: Context): void {
  const depth = depthOf(context) + 1;
  if (depth > MAX_TRANSLATION_DEPTH) {
    throw new Error(`translations lead to each other more than ${MAX_TRANSLATION_DEPTH} times`);
  }
  context.setRegister(DEPTH, depth);
}

export function leaveTranslation(context: Context): void {
  context.setRegister(DEPTH, depthOf(context) - 1);
}
