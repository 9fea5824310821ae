import { createHash } from 'node:crypto';
import { type Context, type Liquid, toValue } from 'liquidjs';
import { escapeHtml, escapeHtmlOnce } from './html.ts';
import { untrustedMarkdownToHtml } from './markdown.ts';
import { compareVersions } from './versions.ts';

/** `this` of a filter. */
export type FilterCall = { readonly context: Context; readonly liquid: Liquid };

/**
 * The filters that the wire contract has beyond liquidjs' own (which has json, sha256,
 * hmac_sha256 and date with a time zone). Each charges what it copies to the memory limit.
 */
export function registerFilters(liquid: Liquid): void {
  // A missing value is null, so that a JSON template stays JSON; liquidjs prints nothing.
  const json = liquid.filters.json;
  if (typeof json === 'function') {
    liquid.registerFilter('json', function (this: FilterCall, value: unknown, ...rest: unknown[]) {
      return json.call(this as never, toValue(value) ?? null, ...(rest as never[]));
    });
  }
  liquid.registerFilter('md5', function (this: FilterCall, value: unknown) {
    const text = charged(this, value);
    return createHash('md5').update(text, 'utf8').digest('hex');
  });
  liquid.registerFilter('titlecase', function (this: FilterCall, value: unknown) {
    return charged(this, value).replace(
      /\p{L}[\p{L}\p{M}\p{N}'’]*/gu,
      (word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase(),
    );
  });
  liquid.registerFilter(
    'pluralize',
    (count: unknown, singular: unknown, plural: unknown = `${toText(singular)}s`) =>
      Number(toValue(count)) === 1 ? singular : plural,
  );
  liquid.registerFilter('from_json', function (this: FilterCall, value: unknown) {
    const text = charged(this, value);
    // What comes of it takes several times the space of the text.
    this.context.memoryLimit.use(4 * text.length);
    try {
      return JSON.parse(text);
    } catch {
      // The parser's own message has parts of the text, which may be secret.
      throw new Error(
        `the filter "from_json" was given ${text.length} characters that are no JSON`,
      );
    }
  });
  liquid.registerFilter(
    'compare_versions',
    function (this: FilterCall, one: unknown, other: unknown) {
      return compareVersions(charged(this, one), charged(this, other));
    },
  );
  // Gives HTML, so that in HTML templates it is not escaped again.
  liquid.registerFilter('from_markdown', {
    raw: true,
    handler(this: FilterCall, value: unknown) {
      const text = charged(this, value);
      this.context.renderLimit.check(performance.now());
      const html = untrustedMarkdownToHtml(text);
      this.context.memoryLimit.use(html.length);
      return html;
    },
  });
  liquid.registerFilter(
    'intersect',
    function (this: FilterCall, left: unknown, right: unknown): unknown[] {
      const a = toList(left);
      const b = toList(right);
      this.context.memoryLimit.use(a.length + b.length);
      const wanted = new Set(b);
      return a.filter((item) => wanted.has(item));
    },
  );
}

/**
 * In HTML templates the output of these filters is HTML already, so it is not escaped again.
 */
export function registerHtmlFilters(liquid: Liquid): void {
  for (const name of ['escape', 'xml_escape']) {
    liquid.registerFilter(name, {
      raw: true,
      handler(this: FilterCall, value: unknown) {
        return escapeHtml(charged(this, value));
      },
    });
  }
  liquid.registerFilter('escape_once', {
    raw: true,
    handler(this: FilterCall, value: unknown) {
      return escapeHtmlOnce(charged(this, value));
    },
  });
  liquid.registerFilter('newline_to_br', {
    raw: true,
    handler(this: FilterCall, value: unknown) {
      return escapeHtmlOnce(charged(this, value)).replace(/\r?\n/g, '<br />\n');
    },
  });
}

/** As liquidjs prints a value. */
export function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  const plain = toValue(value);
  if (plain === null || plain === undefined) return '';
  if (Array.isArray(plain)) return plain.map(toText).join('');
  return String(plain);
}

function toList(value: unknown): unknown[] {
  const plain = toValue(value);
  return Array.isArray(plain) ? plain : [];
}

/** A value as text, on the account of the rendering's memory. */
export function charged(call: FilterCall, value: unknown): string {
  const text = toText(value);
  call.context.memoryLimit.use(text.length);
  return text;
}
