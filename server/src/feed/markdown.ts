import MarkdownIt from 'markdown-it';

/*
 * Safe by construction: raw HTML in the source is shown as text, and links to anything but
 * harmless protocols stay text too. Variables were escaped when the template was rendered; their
 * entities are decoded and escaped again here, so a name with a `<` shows as typed.
 */
const markdown = new MarkdownIt({ html: false, linkify: false });

/** A feed item shows no more than this; rendering takes the server's only thread. */
const SHOWN_LENGTH = 10_000;

const REMEMBERED = 5_000;
const REMEMBERED_LENGTH = 2_000;
const rendered = new Map<string, string>();

/** Markdown as HTML that is safe to put into a page; a very long one is cut. Short texts seen lately are remembered. */
export function markdownToHtml(source: string): string {
  const known = rendered.get(source);
  if (known !== undefined) return known;
  const shown = source.length > SHOWN_LENGTH ? `${source.slice(0, SHOWN_LENGTH)}…` : source;
  const html = markdown.render(shown).trimEnd();
  if (source.length <= REMEMBERED_LENGTH) {
    if (rendered.size >= REMEMBERED) {
      // A Map keeps insertion order: the first key is the oldest.
      const oldest = rendered.keys().next();
      if (!oldest.done) rendered.delete(oldest.value);
    }
    rendered.set(source, html);
  }
  return html;
}

/** The address, or an empty text where following it would run a script. */
export function safeUrl(url: string): string {
  if (/^https?:\/\//i.test(url)) return url;
  // Browsers drop control characters before they look for the protocol.
  const seen = url.replace(/[\p{Cc}\s]/gu, '');
  return markdown.validateLink(seen) ? url : '';
}
