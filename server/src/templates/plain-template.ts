import { CommentTag, IfTag, Output, type Template, TypeGuards, UnlessTag } from 'liquidjs';
import { toText } from './filters.ts';
import { escapeHtml } from './html.ts';
import { isTrue } from './operators.ts';
import { plainValue } from './plain-value.ts';
import { Rendering } from './rendering.ts';
import type { Escape } from './setting.ts';
import type { TemplateScope } from './template-scope.ts';

/**
 * Most templates are text with a few outputs and conditions in it: `{{ a.b | filter }}` and
 * `{% if a.b == "c" %}`. liquidjs renders each through half a dozen generators; as plain functions
 * made once they give the same text in a tenth of the time. Whatever is more than that, a loop or
 * an assignment above all, stays with liquidjs, and with it the whole template.
 */
export type PlainTemplate = readonly Part[];

/** Text, or what adds text to a rendering. */
type Part = string | ((rendering: Rendering) => void);

type Branch = {
  readonly holds: (rendering: Rendering) => boolean;
  readonly parts: readonly Part[];
};

/** Branches in branches that are deeper stay with liquidjs, so that recursion has a bound. */
const MAX_DEPTH = 20;

/** The template in plain form, or undefined when it has anything else. */
export function plainTemplate(templates: readonly Template[]): PlainTemplate | undefined {
  return plainParts(templates, 0);
}

/** Renders a plain template; the same text that liquidjs would give. */
export function renderPlain(
  template: PlainTemplate,
  escaping: Escape,
  scope: TemplateScope,
): string {
  const rendering = new Rendering(escaping, scope);
  try {
    renderParts(template, rendering);
    rendering.add('');
  } catch (error) {
    throw rendering.located(error);
  }
  return rendering.text;
}

function renderParts(parts: readonly Part[], rendering: Rendering): void {
  for (const part of parts) {
    if (typeof part === 'string') rendering.text += part;
    else part(rendering);
  }
}

function plainParts(templates: readonly Template[], depth: number): Part[] | undefined {
  const parts: Part[] = [];
  for (const template of templates) {
    const part = depth > MAX_DEPTH ? undefined : plainPart(template, depth);
    if (part === undefined) return undefined;
    const last = parts.at(-1);
    if (typeof part === 'string' && typeof last === 'string') parts[parts.length - 1] = last + part;
    else if (part !== '') parts.push(part);
  }
  return parts;
}

function plainPart(template: Template, depth: number): Part | undefined {
  const { token } = template;
  if (TypeGuards.isHTMLToken(token)) return token.getContent();
  if (template instanceof Output) return plainOutput(template);
  if (template instanceof CommentTag) return '';
  if (template instanceof IfTag || template instanceof UnlessTag) {
    return plainConditional(template, depth);
  }
  return undefined;
}

function plainOutput(template: Output): Part | undefined {
  const value = plainValue(template.value);
  if (!value) return undefined;
  const { evaluate, escaped } = value;
  return (rendering) => {
    rendering.enter(template);
    const result = evaluate(rendering);
    if (typeof result === 'string') rendering.add(escaped ? escapeHtml(result) : result);
    else if (typeof result === 'number') rendering.add(String(result));
    else if (result !== undefined && result !== null) {
      rendering.add(escaped ? escapeHtml(toText(result)) : toText(result));
    }
  };
}

function plainConditional(tag: IfTag | UnlessTag, depth: number): Part | undefined {
  const branches: Branch[] = [];
  for (const { value, templates } of tag.branches) {
    const condition = plainValue(value);
    const parts = plainParts(templates, depth + 1);
    if (!condition || !parts) return undefined;
    const { evaluate } = condition;
    // Of `unless` only the first condition is reversed; its `elsif` is as that of `if`.
    const wanted = !(tag instanceof UnlessTag && branches.length === 0);
    branches.push({ holds: (rendering) => isTrue(evaluate(rendering)) === wanted, parts });
  }
  const otherwise = plainParts(tag.elseTemplates ?? [], depth + 1);
  if (!otherwise) return undefined;
  return (rendering) => {
    for (const { holds, parts } of branches) {
      rendering.enter(tag);
      if (holds(rendering)) {
        renderParts(parts, rendering);
        return;
      }
    }
    renderParts(otherwise, rendering);
  };
}
