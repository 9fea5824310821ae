import { Output, type Template, TypeGuards } from 'liquidjs';
import { toText } from './filters.ts';
import { escapeHtml } from './html.ts';
import { type Escape, escapeOutput, MAX_OUTPUT_LENGTH, OutputLimitError } from './liquid.ts';
import type { TemplateScope } from './template-scope.ts';

/**
 * Most templates are text with a few `{{ a.b.c }}` in it. liquidjs renders them through half a
 * dozen generators an output; reading the paths directly gives the same text in a tenth of the
 * time. Whatever is more than that (a tag, a filter, a computed path) stays with liquidjs.
 */
export type PlainTemplate = {
  /** One more than there are outputs; text i stands before output i. */
  readonly texts: readonly string[];
  readonly outputs: readonly PlainOutput[];
};

type PlainOutput = {
  /** The name at the top level of the scope. */
  readonly name: string;
  readonly path: readonly (string | number)[];
  readonly escape: boolean;
};

/** The template in plain form, or undefined when it has anything else. */
export function plainTemplate(
  templates: readonly Template[],
  escaping: Escape,
): PlainTemplate | undefined {
  const texts = [''];
  const outputs: PlainOutput[] = [];
  for (const template of templates) {
    const { token } = template;
    if (TypeGuards.isHTMLToken(token)) {
      texts[texts.length - 1] += token.getContent();
    } else if (template instanceof Output) {
      const output = plainOutput(template, escaping);
      if (!output) return undefined;
      outputs.push(output);
      texts.push('');
    } else {
      return undefined;
    }
  }
  return { texts, outputs };
}

function plainOutput(output: Output, escaping: Escape): PlainOutput | undefined {
  const { filters, initial } = output.value;
  const escapes = escaping === 'html' && filters.length === 1;
  if (filters.length > (escapes ? 1 : 0)) return undefined;
  if (escapes && Reflect.get(filters[0] ?? {}, 'handler') !== escapeOutput) return undefined;

  const tokens: unknown = Reflect.get(initial, 'postfix');
  if (!Array.isArray(tokens) || tokens.length !== 1) return undefined;
  const token: unknown = tokens[0];
  if (!TypeGuards.isPropertyAccessToken(token) || token.variable) return undefined;

  const path: (string | number)[] = [];
  for (const property of token.props) {
    if (!('content' in property)) return undefined;
    const { content } = property;
    if (typeof content !== 'string' && typeof content !== 'number') return undefined;
    path.push(content);
  }
  const [name, ...rest] = path;
  return typeof name === 'string' ? { name, path: rest, escape: escapes } : undefined;
}

/** Renders a plain template; the same text that liquidjs would give. */
export function renderPlain(template: PlainTemplate, scope: TemplateScope): string {
  const { texts, outputs } = template;
  let result = texts[0] ?? '';
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i] as PlainOutput;
    const value = resolve(output, scope);
    if (value !== undefined && value !== null) {
      const text = typeof value === 'string' ? value : toText(value);
      result += output.escape ? escapeHtml(text) : text;
    }
    result += texts[i + 1];
    if (result.length > MAX_OUTPUT_LENGTH) throw new OutputLimitError();
  }
  return result;
}

function resolve(output: PlainOutput, scope: TemplateScope): unknown {
  const { name, path } = output;
  let value: unknown = name in scope ? property(scope, name) : property(scope.data, name);
  for (let i = 0; i < path.length; i++) {
    if (value === undefined || value === null) return value;
    value = property(value, path[i] as string | number);
  }
  return value;
}

/** liquidjs' `readProperty` with `ownPropertyOnly`, for values that came from JSON. */
function property(holder: unknown, key: string | number): unknown {
  if (holder === undefined || holder === null) return holder;
  const own = Object.hasOwn(holder as object, key);
  switch (key) {
    case 'size':
      return own ? Reflect.get(Object(holder), key) : size(holder);
    case 'first':
      return Array.isArray(holder) ? holder[0] : own ? Reflect.get(Object(holder), key) : undefined;
    case 'last':
      return Array.isArray(holder)
        ? holder[holder.length - 1]
        : own
          ? Reflect.get(Object(holder), key)
          : undefined;
  }
  if (typeof key === 'number' && key < 0 && Array.isArray(holder))
    return holder[holder.length + key];
  return own ? (holder as Readonly<Record<string | number, unknown>>)[key] : undefined;
}

function size(holder: unknown): unknown {
  if (Array.isArray(holder) || typeof holder === 'string') return holder.length;
  return typeof holder === 'object' && holder !== null ? Object.keys(holder).length : undefined;
}
