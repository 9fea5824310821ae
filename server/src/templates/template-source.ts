import type { Liquid, Template } from 'liquidjs';
import { TemplateError } from './template-error.ts';

/** Characters of a template. */
export const MAX_TEMPLATE_LENGTH = 512 * 1024;

/** liquidjs' parser takes time that grows with their square. */
const MAX_TAGS = 10_000;

/** Parses what is small enough; throws a TemplateError, or what liquidjs throws. */
export function parseSource(source: string, liquid: Liquid): Template[] {
  if (source.length > MAX_TEMPLATE_LENGTH) {
    throw new TemplateError(
      'template_syntax_error',
      `a template has at most ${MAX_TEMPLATE_LENGTH} characters, this one has ${source.length}`,
    );
  }
  const tags = countTags(source);
  if (tags > MAX_TAGS) {
    throw new TemplateError(
      'template_syntax_error',
      `a template has at most ${MAX_TAGS} outputs and tags, this one has ${tags}`,
    );
  }
  return liquid.parse(source);
}

/** Outputs and tags; in a `liquid` tag each line is one. */
function countTags(source: string): number {
  const starts = /\{%-?\s*liquid\b/.test(source) ? /\{[{%]|\n/g : /\{[{%]/g;
  return source.match(starts)?.length ?? 0;
}
