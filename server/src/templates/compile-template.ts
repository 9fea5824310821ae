import { LiquidError, type Template as LiquidTemplate } from 'liquidjs';
import { BoundedEmitter, createContext, finish, liquidFor, MAX_OUTPUT_LENGTH } from './liquid.ts';
import { plainTemplate, renderPlain } from './plain-template.ts';
import { RecipientNeeded } from './recipient-needed.ts';
import { type Escape, engineIn } from './setting.ts';
import type { TemplateEnvironment } from './template-environment.ts';
import { TemplateError } from './template-error.ts';
import { lookup, type TemplateScope } from './template-scope.ts';
import { parseSource } from './template-source.ts';
import type { Block } from './visual-blocks.ts';

export type CompileOptions = {
  /** `html` escapes every output that does not end in the filter `raw`. */
  readonly escape: Escape;
  /** Partials, translations and the default locale. */
  readonly environment: TemplateEnvironment;
  /** Where the source came out of `blocksSource`. */
  readonly blocks?: readonly Block[];
};

export type CompiledTemplate = {
  /** The text when it is the same for every scope. */
  readonly constant?: string;
  /** Nothing but outputs and conditions: what it costs is in proportion to its length. */
  readonly isPlain?: boolean;
  /**
   * Synchronous. Throws a TemplateError with the code `template_render_error`, or a RecipientNeeded when the
   * scope's lookup lacks a recipient.
   */
  readonly render: (scope: TemplateScope) => string;
};

/**
 * Parses a Liquid template once. Unknown variables render as nothing; unknown filters and tags are
 * syntax errors. A rendering is limited in output, memory and time, and sees no files.
 *
 *     compileTemplate('Hello {{ recipient.name }}', { escape: 'html', environment }).render(scope)
 *
 * Throws a TemplateError with the code `template_syntax_error`, line and column.
 */
export function compileTemplate(source: string, options: CompileOptions): CompiledTemplate {
  const escaping = options.escape;
  const templates = parse(source, options);
  const plain = plainTemplate(templates);
  if (plain?.every((part) => typeof part === 'string')) {
    const constant = storable(plain.join(''));
    return { constant, isPlain: true, render: () => constant };
  }
  if (plain) {
    return {
      isPlain: true,
      render: (scope) => guarded(scope, () => renderPlain(plain, escaping, scope)),
    };
  }
  return { render: (scope) => guarded(scope, () => renderLiquid(templates, escaping, scope)) };
}

/** Renders by liquidjs alone. */
export function renderLiquid(
  templates: LiquidTemplate[],
  escaping: Escape,
  scope: TemplateScope,
): string {
  const context = createContext(escaping, scope);
  const emitter = new BoundedEmitter();
  finish(liquidFor(escaping).renderer.renderTemplates(templates, context, emitter));
  return emitter.buffer;
}

/** Parses by liquidjs; throws a TemplateError. */
export function parse(source: string, options: CompileOptions): LiquidTemplate[] {
  try {
    return parseSource(source, engineIn({ ...options, depth: 0, engine: liquidFor }));
  } catch (error) {
    throw templateError('template_syntax_error', error);
  }
}

function guarded(scope: TemplateScope, render: () => string): string {
  const missed = scope[lookup]?.missed;
  let text: string;
  try {
    text = render();
  } catch (error) {
    // Whoever is missing may be the reason; else the error comes again.
    if (missed && missed.length > 0) throw new RecipientNeeded(missed.splice(0));
    throw templateError('template_render_error', error);
  }
  if (missed && missed.length > 0) throw new RecipientNeeded(missed.splice(0));
  return storable(text);
}

/** PostgreSQL stores neither NUL nor half a surrogate pair, and no mail or page needs them. */
function storable(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes('\0') ? whole.replaceAll('\0', '') : whole;
}

function templateError(code: TemplateError['code'], error: unknown): TemplateError {
  if (error instanceof TemplateError) return error;
  if (error instanceof RangeError) {
    return new TemplateError(
      code,
      `tags nest too deeply, or a text is longer than ${MAX_OUTPUT_LENGTH} characters`,
    );
  }
  if (!(error instanceof Error)) return new TemplateError(code, String(error));
  const message = error.message.replace(/, line:\d+, col:\d+$/, '');
  if (!LiquidError.is(error)) return new TemplateError(code, message);
  const [line, column] = error.token.getPosition();
  return new TemplateError(code, message, line && column ? [line, column] : undefined);
}
