import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { escapeHtml } from './html.ts';
import { splitLiquid } from './split-liquid.ts';

/** What a `visual_block` tag renders, as its template cannot: markdown of a rendered text, a partial with values. */
export type Block =
  | { readonly kind: 'markdown'; readonly content: string }
  | { readonly kind: 'partial'; readonly key: string; readonly attrs: JsonObject };

/** A template's body, and the blocks that it refers to. */
export type BlocksSource = { readonly html: string; readonly blocks: readonly Block[] };

/** A defect of a block: where from the list of blocks on, such as `[2].buttons`, and why. */
export type BlockProblem = { readonly path: string; readonly reason: string };

const MAX_BLOCKS = 200;

type Draw = (block: JsonObject, tag: (block: Block) => string) => string;

const TYPES: Readonly<
  Record<string, { readonly required: readonly string[]; readonly draw: Draw }>
> = {
  markdown: {
    required: ['content'],
    draw: (block, tag) =>
      `<div class="block-markdown">${tag({ kind: 'markdown', content: text(block.content) })}</div>`,
  },
  html: { required: ['content'], draw: (block) => text(block.content) },
  button_set: { required: ['buttons'], draw: buttonSet },
  image: { required: ['url'], draw: image },
  divider: {
    required: [],
    draw: () =>
      '<div class="block-divider" style="border-bottom:1px solid #dddee1;font-size:0;line-height:0;">&nbsp;</div>',
  },
  partial: {
    required: ['key'],
    draw: (block, tag) =>
      tag({
        kind: 'partial',
        key: text(block.key),
        attrs: isJsonObject(block.attrs) ? block.attrs : {},
      }),
  },
};

/** What is wrong with a template's `visual_blocks`, but for the syntax of its texts. */
export function blockProblems(blocks: Json): BlockProblem[] {
  if (!Array.isArray(blocks)) return [{ path: '', reason: 'must be a list of blocks' }];
  if (blocks.length > MAX_BLOCKS) {
    return [{ path: '', reason: `has ${blocks.length} blocks, at most ${MAX_BLOCKS} are allowed` }];
  }
  return blocks.flatMap((block: Json, index): BlockProblem[] => {
    const path = `[${index}]`;
    if (!isJsonObject(block)) return [{ path, reason: 'must be an object' }];
    const type = text(block.type);
    const known = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
    if (!known) {
      const types = Object.keys(TYPES).join(', ');
      return [{ path: `${path}.type`, reason: `there is no block "${type}"; use ${types}` }];
    }
    return [
      ...known.required
        .filter((field) => block[field] === undefined || block[field] === null)
        .map((field) => ({ path, reason: `lacks "${field}"` })),
      ...(type === 'button_set' ? buttonProblems(block.buttons, `${path}.buttons`) : []),
    ];
  });
}

/** Visual blocks as a Liquid template of HTML, in tables as mail programs want them. */
export function blocksSource(list: Json): BlocksSource {
  const blocks: Block[] = [];
  const tag = (block: Block): string => `{% visual_block ${blocks.push(block) - 1} %}`;
  const rows = (Array.isArray(list) ? list : []).filter(isJsonObject).map((block: JsonObject) => {
    const type = text(block.type);
    const inner = TYPES[type]?.draw(block, tag) ?? '';
    return (
      `<table class="block-row block-row--${escapeHtml(type)}-v1" role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">` +
      `<tr><td style="${layoutStyle(block.layout_attrs)}">${inner}</td></tr></table>`
    );
  });
  return { html: rows.join('\n'), blocks };
}

function layoutStyle(attrs: Json | undefined): string {
  const of = isJsonObject(attrs) ? attrs : {};
  const sides = ['top', 'right', 'bottom', 'left'].map((side) => {
    const fallback = side === 'top' || side === 'bottom' ? 8 : 4;
    return `${size(of[`padding_${side}`], fallback)}px`;
  });
  const align = text(of.horizontal_align);
  const aligned = ['left', 'center', 'right'].includes(align) ? `text-align:${align};` : '';
  return `padding:${sides.join(' ')};${aligned}`;
}

const SIZES: Readonly<Record<string, string>> = {
  sm: 'font-size:14px;line-height:20px;padding:4px 8px;',
  md: 'font-size:16px;line-height:24px;padding:8px 16px;',
  lg: 'font-size:18px;line-height:28px;padding:12px 24px;',
};

function buttonSet(block: JsonObject): string {
  const attrs = isJsonObject(block.layout_attrs) ? block.layout_attrs : {};
  const gap = size(attrs.column_gap, 8);
  const list = Array.isArray(block.buttons) ? block.buttons.filter(isJsonObject) : [];
  return list.map((button, index) => oneButton(button, index === 0 ? 0 : gap)).join('');
}

function oneButton(button: JsonObject, gap: number): string {
  const outline = button.variant === 'outline';
  const style = isJsonObject(button.style_attrs) ? button.style_attrs : {};
  const sizes = isJsonObject(button.size_attrs) ? button.size_attrs : {};
  const scale = Object.hasOwn(SIZES, text(sizes.size)) ? text(sizes.size) : 'md';
  const full = sizes.is_fullwidth === true;
  const background = color(style.background_color, outline ? 'transparent' : '#000000');
  const border = color(style.border_color, outline ? '#000000' : background);
  const css = [
    `display:${full ? 'block' : 'inline-block'};box-sizing:border-box;text-decoration:none;text-align:center;`,
    gap > 0 && !full ? `margin-left:${gap}px;` : '',
    SIZES[scale] ?? '',
    `background-color:${background};color:${color(style.text_color, outline ? '#000000' : '#FFFFFF')};`,
    `border:${size(style.border_width, 1)}px solid ${border};`,
    `border-radius:${size(style.border_radius, 6)}px;`,
  ].join('');
  const variant = outline ? 'outline' : 'solid';
  return (
    `<a class="block-button block-button--${variant} block-button--${scale}" target="_blank" ` +
    `href="${literal(button.action)}" style="${css}">${literal(button.label)}</a>`
  );
}

function image(block: JsonObject): string {
  const style = isJsonObject(block.style_attrs) ? block.style_attrs : {};
  const width = text(style.width) === '' ? '' : `width:${literal(style.width)};`;
  const tag = `<img class="block-image" src="${literal(block.url)}" alt="${literal(block.alt)}" style="${width}max-width:100%;border:0;">`;
  return text(block.action) === ''
    ? tag
    : `<a href="${literal(block.action)}" target="_blank">${tag}</a>`;
}

function buttonProblems(buttons: Json | undefined, path: string): BlockProblem[] {
  if (!Array.isArray(buttons)) return [{ path, reason: 'must be a list of buttons' }];
  return buttons.flatMap((button: Json, index) =>
    ['label', 'action']
      .filter((field) => !isJsonObject(button) || text(button[field]) === '')
      .map((field) => ({ path: `${path}[${index}]`, reason: `lacks "${field}"` })),
  );
}

/** A text with Liquid in it, for an attribute or content: what is not Liquid means itself. */
function literal(value: Json | undefined): string {
  return splitLiquid(text(value))
    .map((part) => (part.kind === 'text' ? escapeHtml(part.text) : part.text))
    .join('');
}

function color(value: Json | undefined, fallback: string): string {
  return literal(value).replace(/[;\n]/g, '') || fallback;
}

function size(value: Json | undefined, fallback: number): number {
  const number = Number(value ?? fallback);
  return Number.isFinite(number) ? Math.min(Math.max(0, Math.round(number)), 1_000) : fallback;
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
