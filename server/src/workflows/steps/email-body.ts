import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { compileTemplate } from '../../templates/compile-template.ts';
import { mjmlToHtml } from '../../templates/mjml.ts';
import { type Block, blockProblems, blocksSource } from '../../templates/visual-blocks.ts';
import type { CompileEnvironment, EmailLayout, Problem, RunScope } from '../step.ts';
import { isSet } from './channel-step.ts';
import { DEFAULT_LAYOUT_KEY, defaultLayout } from './email-layout.ts';
import { htmlToText } from './html-to-text.ts';
import { objectField, templateProblems } from './step-template.ts';

/** A mail's body as it is sent; without HTML where the template has none. */
export type EmailBody = { readonly html?: string; readonly text: string };

type Templates = Pick<CompileEnvironment, 'templates' | 'layout'>;

/** Around the body in its layout, so that the text of the body alone can be made from it; not sent. */
const BEGIN = '<!--belfry:body-->';
const END = '<!--/belfry:body-->';

/** Where a layout has the template in it. */
const CONTENT = /\{\{-?\s*content\s*(?:\|\s*raw\s*)?-?\}\}/g;

/** What is wrong with a template's bodies, layout, blocks and settings. */
export function emailBodyProblems(
  template: JsonObject,
  path: string,
  environment: CompileEnvironment,
): Problem[] {
  const problems = [
    ...contentProblems(template, path),
    ...templateProblems(template, 'html_body', path, environment, 'html'),
    ...templateProblems(template, 'text_body', path, environment),
    ...templateProblems(
      objectField(template, 'settings'),
      'pre_content',
      `${path}.settings`,
      environment,
    ),
    ...layoutProblems(template, path, environment),
  ];
  if (problems.length > 0) return problems;
  try {
    compileEmailBody(template, environment);
    return [];
  } catch (error) {
    const field = hasBlocks(template) ? 'visual_blocks' : 'html_body';
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: `${path}.${field}`, reason }];
  }
}

/**
 * A template without problems, ready to render. Template and layout become one template, so that what the one assigns
 * the other can use; MJML becomes HTML here, once. Throws an Error for MJML that is none, and a TemplateError.
 */
export function compileEmailBody(
  template: JsonObject,
  environment: Templates,
): (scope: RunScope) => EmailBody {
  const layout = layoutOf(template, environment);
  const pre = text(objectField(template, 'settings').pre_content);
  const { source, blocks } = htmlSource(template, layout);
  const inLayout = layout && hasContent(layout.text) ? layout.text : undefined;
  const own = isSet(template.text_body) ? text(template.text_body) : undefined;
  const plainSource = own === undefined ? inLayout : (inLayout?.replace(CONTENT, () => own) ?? own);
  const options = { environment: environment.templates, blocks };
  const html =
    source === undefined
      ? undefined
      : compileTemplate(pre + source, { ...options, escape: 'html' });
  const plain =
    plainSource === undefined
      ? undefined
      : compileTemplate(pre + plainSource, { ...options, escape: 'none' });
  const scopeOf = scopeFor(layout, `${source}${plainSource}`, environment);
  return (given) => {
    const scope = scopeOf(given);
    if (!html) return { text: plain?.render(scope) ?? '' };
    const rendered = html.render(scope);
    if (own !== undefined) return { html: rendered, text: plain?.render(scope) ?? '' };
    const { whole, body } = parted(rendered);
    const content = htmlToText(body);
    return { html: whole, text: plain ? plain.render({ ...scope, content }) : content };
  };
}

/** The HTML template with its layout around it; undefined where the mail has text alone. */
function htmlSource(
  template: JsonObject,
  layout: EmailLayout | undefined,
): { readonly source: string | undefined; readonly blocks: readonly Block[] } {
  const { html: drawn, blocks } = hasBlocks(template)
    ? blocksSource(template.visual_blocks ?? null)
    : { html: text(template.html_body), blocks: [] };
  if (drawn === '') return { source: undefined, blocks };
  const marked = (body: string): string =>
    isSet(template.text_body) ? body : `${BEGIN}${body}${END}`;
  if (!layout) {
    return { source: marked(template.is_mjml === true ? mjmlToHtml(drawn) : drawn), blocks };
  }
  const composed = layout.html.replace(CONTENT, () => marked(drawn));
  return { source: layout.isMjml ? mjmlToHtml(composed) : composed, blocks };
}

/** A rendered mail without its marks, and what is between them. */
function parted(rendered: string): { readonly whole: string; readonly body: string } {
  const begin = rendered.indexOf(BEGIN);
  const end = rendered.indexOf(END, begin);
  const body = begin < 0 || end < 0 ? rendered : rendered.slice(begin + BEGIN.length, end);
  return { whole: rendered.replaceAll(BEGIN, '').replaceAll(END, ''), body };
}

/** What the layout adds to the scope; where it adds nothing that is used, the scope as it is. */
function scopeFor(
  layout: EmailLayout | undefined,
  sources: string,
  { templates }: Templates,
): (scope: RunScope) => RunScope {
  const hasLinks = sources.includes('footer_links');
  const { branding, footerLinks = [] } = layout ?? {};
  const linkTexts = JSON.stringify(footerLinks);
  const isBranded = branding !== undefined && `${sources}${linkTexts}`.includes('branding');
  if (!hasLinks && !isBranded) return (scope) => scope;
  // The layout escapes what it puts out of them.
  const options = { escape: 'none', environment: templates } as const;
  const links = (hasLinks ? footerLinks : []).map(({ text: label, url }) => ({
    label: compileTemplate(label, options),
    url: compileTemplate(url, options),
  }));
  return (given) => {
    const scope = isBranded ? { ...given, vars: branded(given, branding) } : given;
    return {
      ...scope,
      footer_links: links.map(({ label, url }) => ({
        text: label.render(scope),
        url: url.render(scope).trim(),
      })),
    };
  };
}

/** The account's branding, the layout's over it, the tenant's over both. */
function branded({ vars, tenant }: RunScope, ofLayout: JsonObject): JsonObject {
  const settings = tenant?.settings;
  const ofTenant = isJsonObject(settings) ? settings.branding : undefined;
  return {
    ...vars,
    branding: {
      ...(isJsonObject(vars.branding) ? vars.branding : {}),
      ...Object.fromEntries(Object.entries(ofLayout).filter(([, value]) => isSet(value))),
      ...(isJsonObject(ofTenant) ? ofTenant : {}),
    },
  };
}

function layoutOf(template: JsonObject, environment: Templates): EmailLayout | undefined {
  const key = text(objectField(template, 'settings').layout_key);
  if (key === '') return undefined;
  const layout = environment.layout(key);
  if (!layout && key !== DEFAULT_LAYOUT_KEY) throw new Error(`there is no layout "${key}"`);
  return layout ?? defaultLayout;
}

function contentProblems(template: JsonObject, path: string): Problem[] {
  const { visual_blocks: blocks } = template;
  if (blocks !== undefined && blocks !== null && !(Array.isArray(blocks) && blocks.length === 0)) {
    return [
      ...blockProblems(blocks).map(({ path: at, reason }) => {
        return { path: `${path}.visual_blocks${at}`, reason };
      }),
      ...(isSet(template.html_body)
        ? [{ path: `${path}.html_body`, reason: 'stands beside "visual_blocks"; only one is used' }]
        : []),
    ];
  }
  if (isSet(template.html_body) || isSet(template.text_body)) return [];
  return [{ path, reason: 'lacks "html_body"' }];
}

function layoutProblems(template: JsonObject, path: string, environment: Templates): Problem[] {
  const at = `${path}.settings.layout_key`;
  let layout: EmailLayout | undefined;
  try {
    layout = layoutOf(template, environment);
  } catch (error) {
    return [{ path: at, reason: error instanceof Error ? error.message : String(error) }];
  }
  if (!layout) return [];
  const problems: Problem[] = [];
  if (!hasContent(layout.html)) {
    problems.push({ path: at, reason: 'the layout has no {{ content }} in its HTML' });
  }
  if (template.is_mjml === true && !layout.isMjml) {
    const reason = 'needs a layout of MJML, or none';
    problems.push({ path: `${path}.is_mjml`, reason });
  }
  return problems;
}

function hasContent(source: string): boolean {
  return source.search(CONTENT) >= 0;
}

function hasBlocks({ visual_blocks: blocks }: JsonObject): boolean {
  return Array.isArray(blocks) && blocks.length > 0;
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
