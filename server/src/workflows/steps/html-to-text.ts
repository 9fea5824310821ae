/** Elements that begin a new line of text. */
const BLOCKS = new Set(
  'address article blockquote br dd div dl dt footer h1 h2 h3 h4 h5 h6 header hr li main ol p pre section table td th tr ul'.split(
    ' ',
  ),
);
/** Of these only the beginning makes a new line, so that lists and tables stay dense. */
const DENSE = new Set(['dd', 'dt', 'li', 'td', 'th', 'tr']);
/** Elements whose content is no text. */
const SILENT = new Set(['head', 'script', 'style', 'title', 'template']);

const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  copy: '©',
  hellip: '…',
  mdash: '—',
  ndash: '–',
  bull: '•',
};

/**
 * The text of an HTML mail for readers without HTML: tags gone, links as `text (address)`, pictures by
 * their `alt`, one
 * empty line at the most. One pass without backtracking, as the HTML may hold anything.
 */
export function htmlToText(html: string): string {
  let text = '';
  let linkAddress = '';
  let linkStart = 0;
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf('<', at);
    if (open < 0) {
      text += words(html.slice(at));
      break;
    }
    text += words(html.slice(at, open));
    if (html.startsWith('<!--', open)) {
      const end = html.indexOf('-->', open + 4);
      at = end < 0 ? html.length : end + 3;
      continue;
    }
    const close = html.indexOf('>', open);
    if (close < 0) break;
    const tag = html.slice(open + 1, close);
    const name = /^\/?([a-z][a-z\d]*)/i.exec(tag)?.[1]?.toLowerCase() ?? '';
    at = close + 1;
    const closing = tag.startsWith('/');
    if (BLOCKS.has(name) && !(closing && DENSE.has(name))) text += '\n';
    if (name === 'a' && !closing) {
      linkAddress = attribute(tag, 'href');
      linkStart = text.length;
    } else if (name === 'a') {
      if (/^(https?|mailto):/i.test(linkAddress) && text.slice(linkStart).trim() !== linkAddress) {
        text += ` (${linkAddress})`;
      }
      linkAddress = '';
    } else if (name === 'img') {
      text += words(attribute(tag, 'alt'));
    } else if (SILENT.has(name) && !closing) {
      const end = new RegExp(`</${name}`, 'gi');
      end.lastIndex = at;
      at = end.exec(html)?.index ?? html.length;
    }
  }
  return text
    .split('\n')
    .map((line) => line.replace(/ {2,}/g, ' ').trim())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

function words(html: string): string {
  return html
    .replace(/[ \t\r\n]+/g, ' ')
    .replace(/&(#\d{1,7}|#x[\da-f]{1,6}|[a-z]{2,8});/gi, (entity, name: string) => {
      if (!name.startsWith('#')) return NAMED[name.toLowerCase()] ?? entity;
      const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '';
    });
}

function attribute(tag: string, name: string): string {
  const match = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, 'i').exec(
    tag,
  );
  return words(match?.[1] ?? match?.[2] ?? match?.[3] ?? '').trim();
}
