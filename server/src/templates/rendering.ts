import { type Context, LiquidError, RenderError, type Template } from 'liquidjs';
import { createContext, MAX_OUTPUT_LENGTH, MAX_RENDER_MS, OutputLimitError } from './liquid.ts';
import type { Escape } from './setting.ts';
import type { TemplateScope } from './template-scope.ts';

/** Steps between two looks at the clock. */
const STEPS_A_LOOK = 16;

/** One rendering of a plain template: the text so far, and the limits that liquidjs has too. */
export class Rendering {
  readonly scope: TemplateScope;
  text = '';
  readonly #escaping: Escape;
  #context: Context | undefined;
  #template: Template | undefined;
  #steps = 0;
  #deadline = 0;

  constructor(escaping: Escape, scope: TemplateScope) {
    this.#escaping = escaping;
    this.scope = scope;
  }

  /** What filters see; only templates with filters pay for it. */
  get context(): Context {
    this.#context ??= createContext(this.#escaping, this.scope);
    return this.#context;
  }

  /** Before each output and condition: where an error happens, and whether there is time left. */
  enter(template: Template): void {
    this.#template = template;
    this.#steps += 1;
    if (this.#steps % STEPS_A_LOOK === 0) this.#look();
  }

  /** Adds the text of an output. Texts between outputs are never longer than their template. */
  add(text: string): void {
    this.text += text;
    if (this.text.length > MAX_OUTPUT_LENGTH) throw new OutputLimitError();
  }

  /** What liquidjs would throw: the error with its place in the template. */
  located(error: unknown): unknown {
    if (!(error instanceof Error) || LiquidError.is(error) || !this.#template) return error;
    return new RenderError(error, this.#template);
  }

  #look(): void {
    const now = performance.now();
    if (this.#deadline === 0) this.#deadline = now + MAX_RENDER_MS;
    else if (now > this.#deadline) throw new Error('template render limit exceeded');
  }
}
