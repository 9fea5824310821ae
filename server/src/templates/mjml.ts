import { createRequire } from 'node:module';
import { liquidEnd, type SourcePart, splitLiquid } from './split-liquid.ts';
import { MAX_TEMPLATE_LENGTH } from './template-source.ts';

type Mrml = typeof import('mrml');

const require = createRequire(import.meta.url);

/** Elements whose content is HTML or text, never MJML. */
const ENDING = new Set(
  'mj-accordion-text mj-accordion-title mj-button mj-html-attribute mj-navbar-link mj-preview mj-raw mj-social-element mj-style mj-table mj-text mj-title'.split(
    ' ',
  ),
);
/** The others; there is no `mj-include`. */
const NESTING = new Set(
  (
    'mjml mj-head mj-body mj-all mj-attributes mj-breakpoint mj-class mj-font mj-html-attributes mj-selector mj-accordion ' +
    'mj-accordion-element mj-carousel mj-carousel-image mj-column mj-divider mj-group mj-hero mj-image mj-navbar mj-section ' +
    'mj-social mj-spacer mj-wrapper'
  ).split(' '),
);
/** Elements in which HTML is a row of a table. */
const ROWS = new Set(['mj-column', 'mj-hero']);
/** Elements that have MJML in them, and nothing else. */
const BARE = new Set([
  'mjml',
  'mj-attributes',
  'mj-social',
  'mj-navbar',
  'mj-accordion',
  'mj-carousel',
]);

/** The converter is a recursive program with a small stack. */
const MAX_DEPTH = 30;
/** It takes some 10 us for each. */
const MAX_ELEMENTS = 2_000;

/**
 * MJML as HTML, once for a template: Liquid stays where it is, in texts and attributes and around elements. HTML
 * between elements of MJML is kept, too. Nothing is included from anywhere. Throws an Error that says what is wrong.
 */
export function mjmlToHtml(source: string): string {
  if (source.length > MAX_TEMPLATE_LENGTH) {
    throw new Error(`MJML has at most ${MAX_TEMPLATE_LENGTH} characters`);
  }
  const kept = new Kept(source);
  const html = converted(prepare(source, kept));
  return kept.putBack(html);
}

/** Texts that the converter must not touch, and the words that stand for them meanwhile. */
class Kept {
  readonly #texts: string[] = [];
  readonly #word: string;

  constructor(source: string) {
    const taken = new Set(source.match(/kept\d{1,7}q/g));
    let number = 0;
    while (taken.has(`kept${number}q`)) number += 1;
    this.#word = `kept${number}q`;
  }

  keep(text: string): string {
    return `${this.#word}${this.#texts.push(text) - 1}z`;
  }

  putBack(html: string): string {
    return html.replace(new RegExp(`${this.#word}(\\d+)z`, 'g'), (_, number: string) => {
      return this.#texts[Number(number)] ?? '';
    });
  }
}

/** The MJML with everything else kept apart. */
function prepare(source: string, kept: Kept): string {
  const open: string[] = [];
  let result = '';
  let between = 0;
  let elements = 0;
  for (let element = nextElement(source, 0); element; element = nextElement(source, between)) {
    result += placed(source.slice(between, element.begin), open.at(-1), kept);
    between = element.after;
    const { name, isClosing, attributes } = element;
    if (isClosing) {
      if (open.pop() !== name) throw new Error(`</${name}> closes what is not open`);
      result += `</${name}>`;
      continue;
    }
    if (!ENDING.has(name) && !NESTING.has(name)) throw new Error(`MJML has no element <${name}>`);
    elements += 1;
    if (elements > MAX_ELEMENTS) throw new Error(`MJML has at most ${MAX_ELEMENTS} elements`);
    result += `<${name}${keptAttributes(attributes, kept)}>`;
    if (attributes.trimEnd().endsWith('/')) continue;
    if (ENDING.has(name)) {
      const end = endOf(source, name, between);
      const content = source.slice(between, end.begin);
      result += `${content.trim() === '' ? '' : kept.keep(content)}</${name}>`;
      between = end.after;
      continue;
    }
    open.push(name);
    if (open.length > MAX_DEPTH) throw new Error(`MJML nests at most ${MAX_DEPTH} elements`);
  }
  result += placed(source.slice(between), open.at(-1), kept);
  const left = open.at(-1);
  if (left !== undefined) throw new Error(`<${left}> is not closed`);
  return result;
}

type Element = {
  readonly name: string;
  readonly isClosing: boolean;
  readonly attributes: string;
  readonly begin: number;
  readonly after: number;
};

/** The next tag of MJML, behind whatever Liquid, HTML and comments come before. */
function nextElement(source: string, from: number): Element | undefined {
  const start = /\{[{%]|<!--|<\/?mj[a-z-]{0,40}(?=[\s/>])/gi;
  start.lastIndex = from;
  for (let match = start.exec(source); match; match = start.exec(source)) {
    const [text] = match;
    if (text.startsWith('{')) {
      start.lastIndex = liquidEnd(source, match.index) ?? source.length;
    } else if (text === '<!--') {
      const end = source.indexOf('-->', match.index);
      start.lastIndex = end < 0 ? source.length : end + 3;
    } else {
      const isClosing = text.startsWith('</');
      const name = text.slice(isClosing ? 2 : 1).toLowerCase();
      const end = tagEnd(source, start.lastIndex);
      if (end === undefined) throw new Error(`the tag <${name} does not end`);
      const attributes = source.slice(start.lastIndex, end);
      return { name, isClosing, attributes, begin: match.index, after: end + 1 };
    }
  }
  return undefined;
}

/** Where the `>` of a tag is that `from` lies in. */
function tagEnd(source: string, from: number): number | undefined {
  const mark = /\{[{%]|["'>]/g;
  mark.lastIndex = from;
  for (let match = mark.exec(source); match; match = mark.exec(source)) {
    const [text] = match;
    if (text === '>') return match.index;
    const end = text.startsWith('{')
      ? liquidEnd(source, match.index)
      : valueEnd(source, match.index + 1, text);
    if (end === undefined) return undefined;
    mark.lastIndex = end;
  }
  return undefined;
}

/** Behind the quote that ends an attribute's value; quotes within Liquid end none. */
function valueEnd(source: string, from: number, quote: string): number | undefined {
  const mark = quote === '"' ? /\{[{%]|"/g : /\{[{%]|'/g;
  mark.lastIndex = from;
  for (let match = mark.exec(source); match; match = mark.exec(source)) {
    if (match[0] === quote) return match.index + 1;
    const end = liquidEnd(source, match.index);
    if (end === undefined) return undefined;
    mark.lastIndex = end;
  }
  return undefined;
}

/** What stands between elements, as an element. */
function placed(text: string, parent: string | undefined, kept: Kept): string {
  if (text.trim() === '') return '';
  if (parent === undefined || BARE.has(parent)) {
    if (isComments(text)) return '';
    const where = parent === undefined ? 'outside of <mjml>' : `in <${parent}>`;
    throw new Error(`there is text ${where}: "${text.trim().slice(0, 40)}"`);
  }
  return `<mj-raw>${kept.keep(ROWS.has(parent) ? row(text) : text)}</mj-raw>`;
}

function isComments(text: string): boolean {
  return text.split('<!--').every((part, index) => {
    const end = index === 0 ? 0 : part.indexOf('-->') + 3;
    return (index === 0 || end > 2) && part.slice(end).trim() === '';
  });
}

/** HTML as a row of a table; the tags of Liquid before and behind it stay around the row. */
function row(text: string): string {
  const parts = splitLiquid(text);
  const isContent = ({ kind, text: part }: SourcePart): boolean =>
    kind === 'output' || (kind === 'text' && part.trim() !== '');
  const first = parts.findIndex(isContent);
  if (first < 0) return text;
  const last = parts.findLastIndex(isContent) + 1;
  const joined = (some: readonly SourcePart[]): string => some.map((part) => part.text).join('');
  return (
    `${joined(parts.slice(0, first))}<tr><td style="word-break:break-word;">` +
    `${joined(parts.slice(first, last))}</td></tr>${joined(parts.slice(last))}`
  );
}

function keptAttributes(attributes: string, kept: Kept): string {
  let quote = '';
  return splitLiquid(attributes)
    .map(({ kind, text }) => {
      if (kind !== 'text') {
        if (quote !== '') return kept.keep(text);
        throw new Error('Liquid in an MJML element must be within the value of an attribute');
      }
      for (const [mark] of text.matchAll(/["']/g)) {
        if (quote === '') quote = mark;
        else if (quote === mark) quote = '';
      }
      return text;
    })
    .join('');
}

function endOf(source: string, element: string, from: number): { begin: number; after: number } {
  const end = new RegExp(`</${element}\\s*>`, 'gi');
  end.lastIndex = from;
  const match = end.exec(source);
  if (!match) throw new Error(`<${element}> is not closed`);
  return { begin: match.index, after: match.index + match[0].length };
}

function converted(mjml: string): string {
  const { Engine }: Mrml = require('mrml');
  try {
    const engine = new Engine();
    const result = engine.toHtml(mjml);
    engine.free();
    if (result.type === 'success') return result.content;
    throw new Error(`the MJML is wrong: ${result.message}`);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'RuntimeError') throw error;
    // Its memory is in no known state: whoever comes next gets another.
    delete require.cache[require.resolve('mrml')];
    throw new Error('the MJML cannot be converted');
  }
}
