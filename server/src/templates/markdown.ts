import MarkdownIt from 'markdown-it';

/** Raw HTML in the source is shown as text, and links to anything but harmless protocols stay text. */
const markdown = new MarkdownIt({ html: false, linkify: false });

/** Its author may write HTML, as in any template: variables were escaped when it was rendered. */
const markdownOfAuthors = new MarkdownIt({ html: true, linkify: false });

/** Rendering cannot be stopped half-way, so that its length is what bounds its time. */
export const MAX_MARKDOWN_LENGTH = 50_000;

/** Text of anybody's as HTML that is safe in a page. Throws when it is too long. */
export function untrustedMarkdownToHtml(source: string): string {
  return convert(markdown, source);
}

/** A rendered markdown template as HTML. Throws when it is too long. */
export function authoredMarkdownToHtml(source: string): string {
  return convert(markdownOfAuthors, source);
}

function convert(converter: typeof markdown, source: string): string {
  if (source.length > MAX_MARKDOWN_LENGTH) {
    throw new Error(
      `markdown has at most ${MAX_MARKDOWN_LENGTH} characters, this one has ${source.length}`,
    );
  }
  return converter.render(source).trimEnd();
}
