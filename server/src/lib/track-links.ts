import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';

/** In place of a link's URL; undefined: it stays. */
export type LinkFor = (url: string) => string | undefined;

const NO_TRACK = 'data-knock-no-track';
/** A URL in a text, up to what ends it in prose, Markdown and chat markup. */
const TEXT_URL = /https:\/\/[^\s<>"'`|\\]+/g;
const LAST = /[.,;:!?*_~]+$/;

/**
 * A message's content with tracked links: those of `html_body`, `text_body`, `body`, `action_url`, `actions`, and the
 * texts and URLs of `json`.
 * Only https. A link with `data-knock-no-track` stays, also in the text of the mail, and loses the attribute.
 */
export function withTrackedLinks(content: JsonObject, linkFor: LinkFor): JsonObject {
  const { html_body: html, text_body: text, body, json, action_url: url, actions } = content;
  const spared = new Set<string>();
  const other: LinkFor = (found) => (spared.has(found) ? undefined : linkFor(found));
  return {
    ...content,
    ...(typeof html === 'string' ? { html_body: trackedHtml(html, linkFor, spared) } : {}),
    ...(typeof text === 'string' ? { text_body: trackedText(text, other) } : {}),
    ...(typeof body === 'string' ? { body: trackedText(body, linkFor) } : {}),
    ...(typeof url === 'string' ? { action_url: trackedUrl(url, linkFor) } : {}),
    ...(Array.isArray(actions)
      ? { actions: actions.map((one) => trackedAction(one, linkFor)) }
      : {}),
    ...(isJsonObject(json) ? { json: trackedJson(json, linkFor) } : {}),
  };
}

/** An e-mail with a picture that its reader's program loads when it is opened; without HTML it stays as it is. */
export function withOpenPicture(content: JsonObject, url: string): JsonObject {
  const { html_body: html } = content;
  if (typeof html !== 'string' || html === '') return content;
  const picture = `<img src="${url}" width="1" height="1" alt="" style="border:0;width:1px;height:1px">`;
  const end = html.toLowerCase().lastIndexOf('</body');
  const at = end < 0 ? html.length : end;
  return { ...content, html_body: html.slice(0, at) + picture + html.slice(at) };
}

/** One pass over the HTML, whatever it holds: comments, styles and scripts are skipped, links are rewritten. */
export function trackedHtml(html: string, linkFor: LinkFor, spared = new Set<string>()): string {
  const parts: string[] = [];
  let done = 0;
  let at = html.indexOf('<');
  while (at >= 0) {
    const end = endOf(html, at);
    if (end < 0) break;
    const name = /^<(a|area)(?=[\s/])/i.exec(html.slice(at, at + 6));
    if (name) {
      parts.push(html.slice(done, at), trackedTag(html.slice(at, end), linkFor, spared));
      done = end;
    }
    at = html.indexOf('<', end);
  }
  return parts.join('') + html.slice(done);
}

export function trackedText(text: string, linkFor: LinkFor): string {
  return text.replace(TEXT_URL, (found) => {
    const url = balanced(found).replace(LAST, '');
    return (linkFor(url) ?? url) + found.slice(url.length);
  });
}

function trackedUrl(url: string, linkFor: LinkFor): string {
  return url.startsWith('https://') ? (linkFor(url) ?? url) : url;
}

function trackedAction(action: Json, linkFor: LinkFor): Json {
  if (!isJsonObject(action) || typeof action.action !== 'string') return action;
  return { ...action, action: trackedUrl(action.action, linkFor) };
}

/** URLs that are opened, and links in texts; not those of pictures. */
function trackedJson(value: JsonObject, linkFor: LinkFor): JsonObject {
  const isPicture = /^(?:image|media|video)$/i.test(String(value.type));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, trackedItem(key, item, linkFor, isPicture)]),
  );
}

function trackedItem(key: string, item: Json, linkFor: LinkFor, isPicture: boolean): Json {
  if (Array.isArray(item)) {
    return item.map((one: Json) => trackedItem(key, one, linkFor, isPicture));
  }
  if (isJsonObject(item)) return trackedJson(item, linkFor);
  if (typeof item !== 'string') return item;
  if (key === 'url') return isPicture ? item : trackedUrl(item, linkFor);
  return key === 'text' ? trackedText(item, linkFor) : item;
}

/** Where a tag, a comment or an element of plain text ends; -1: never. */
function endOf(html: string, at: number): number {
  const after = (text: string): number => {
    const found = html.indexOf(text, at);
    return found < 0 ? -1 : found + text.length;
  };
  if (html.startsWith('<!--', at)) return after('-->');
  const plain = /^<(style|script|title|textarea)\b/i.exec(html.slice(at, at + 12))?.[1];
  if (plain) return after(`</${plain}`);
  if (!/[a-z/!?]/i.test(html[at + 1] ?? '')) return at + 1;
  for (let i = at + 1; i < html.length; i++) {
    const character = html[i];
    if (character === '>') return i + 1;
    if (character !== '"' && character !== "'") continue;
    i = html.indexOf(character, i + 1);
    if (i < 0) return -1;
  }
  return -1;
}

const ATTRIBUTE = /([^\s=>"'/]+)(\s*=\s*)?("[^"]*"|'[^']*'|[^\s"'>]+)?/y;

type Attribute = {
  readonly name: string;
  readonly value: string;
  readonly from: number;
  readonly valueFrom: number;
  readonly to: number;
};

function trackedTag(tag: string, linkFor: LinkFor, spared: Set<string>): string {
  const attributes = attributesOf(tag);
  const href = attributes.find(({ name }) => name === 'href');
  const noTrack = attributes.find(({ name }) => name === NO_TRACK);
  const url = unescaped((href?.value ?? '').replace(/^["']|["']$/g, '')).trim();
  if (noTrack) {
    spared.add(url);
    return tag.slice(0, noTrack.from).trimEnd() + tag.slice(noTrack.to);
  }
  const target = url.startsWith('https://') ? linkFor(url) : undefined;
  if (!href || target === undefined) return tag;
  return `${tag.slice(0, href.valueFrom)}"${target}"${tag.slice(href.to)}`;
}

function attributesOf(tag: string): Attribute[] {
  const found: Attribute[] = [];
  let at = tag.search(/[\s/]/);
  while (at >= 0 && at < tag.length) {
    ATTRIBUTE.lastIndex = at;
    const match = ATTRIBUTE.exec(tag);
    if (!match) {
      at += 1;
      continue;
    }
    const [whole, name = '', equals, value = ''] = match;
    // Without a value, what follows is another attribute.
    const to = equals ? at + whole.length : at + name.length;
    const isValued = equals !== undefined;
    found.push({
      name: name.toLowerCase(),
      value: isValued ? value : '',
      from: at,
      valueFrom: to - (isValued ? value.length : 0),
      to,
    });
    at = to;
  }
  return found;
}

/** A URL without the bracket that ends what is around it: `[text](url)`, `(see url)`. */
function balanced(url: string): string {
  let open = 0;
  for (let i = 0; i < url.length; i++) {
    if (url[i] === '(' || url[i] === '[') open += 1;
    if (url[i] !== ')' && url[i] !== ']') continue;
    open -= 1;
    if (open < 0) return url.slice(0, i);
  }
  return url;
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  '#38': '&',
  '#x26': '&',
  quot: '"',
  '#34': '"',
  '#39': "'",
  '#x27': "'",
  '#x3d': '=',
  '#61': '=',
};

function unescaped(text: string): string {
  return text.replace(/&([a-z]+|#x?[0-9a-f]+);/gi, (whole, name: string) => {
    return ENTITIES[name.toLowerCase()] ?? whole;
  });
}
