import { parse } from './compile-template.ts';
import { liquidFor } from './liquid.ts';
import type { TemplateEnvironment } from './template-environment.ts';

/** What a template names, as far as that can be told without rendering it. */
export type TemplateUses = {
  /** Variables that it reads, in parts: `data.user.name` as `['data', 'user', 'name']`. */
  readonly paths: readonly (readonly string[])[];
  /** What `t` looks up by a constant, such as `app:greeting.hello`. */
  readonly translations: readonly string[];
};

const NOTHING: TemplateUses = { paths: [], translations: [] };
const TRANSLATION = /(?:'([^'\n]+)'|"([^"\n]+)")\s*\|\s*t\b/g;

/** For warnings only: of a template that does not parse, or that nobody understands, it says nothing. */
export function templateUses(source: string, environment: TemplateEnvironment): TemplateUses {
  if (!source.includes('{{') && !source.includes('{%')) return NOTHING;
  return {
    paths: pathsOf(source, environment),
    translations: [...source.matchAll(TRANSLATION)].map(
      ([, single, double]) => single ?? double ?? '',
    ),
  };
}

function pathsOf(source: string, environment: TemplateEnvironment): string[][] {
  try {
    const templates = parse(source, { escape: 'none', environment });
    const liquid = liquidFor('none');
    const segments = liquid.globalVariableSegmentsSync(templates, { partials: false });
    return segments.map((path) => {
      // A part that is only known when it is rendered is a list itself.
      const end = path.findIndex((part) => typeof part === 'object');
      return (end < 0 ? path : path.slice(0, end)).map(String);
    });
  } catch {
    return [];
  }
}
