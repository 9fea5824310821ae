import type { AccountFace, Branding } from '../control/branding.ts';
import type { CenterChannelType, CenterConfig } from '../recipients/preference-center.ts';
import type { Toggle, ToggleRow } from '../recipients/preference-toggles.ts';
import { escapeHtml } from '../templates/html.ts';

export type PreferencePage = {
  readonly config: CenterConfig;
  readonly rows: readonly ToggleRow[];
  readonly account: AccountFace;
  /** Whose preferences: an address or an id. */
  readonly user: string;
  /** What a save did; absent: the page was opened. */
  readonly saved?: 'changed' | 'same' | undefined;
};

const TYPE_NAMES: Readonly<Record<CenterChannelType, string>> = {
  email: 'E-mail',
  in_app_feed: 'In-app',
  in_app_guide: 'In-app guide',
  sms: 'SMS',
  push: 'Push',
  chat: 'Chat',
  http: 'Webhook',
};

const SAVED = { changed: 'Your preferences are saved.', same: 'Nothing was changed.' } as const;

const LOCKED = 'Set by conditions; it cannot be changed here.';

/** The page of the preference center: one form, no scripts. */
export function preferencePage({ config, rows, account, user, saved }: PreferencePage): string {
  const title = escapeHtml(config.title);
  const about = config.show_account_name === false ? '' : escapeHtml(account.name);
  // First in the title: it is what screen readers say of a page that was loaded.
  const said = saved ? `${SAVED[saved]} – ` : '';
  return page(
    `${said}${title}${about && ` – ${about}`}`,
    colorsOf(account.branding),
    `<header>${logoOf(account)}${about && `<p class="account">${about}</p>`}<h1>${title}</h1>${config.body && `<p>${escapeHtml(config.body)}</p>`}<p class="quiet">For <strong>${escapeHtml(user)}</strong></p></header>
${saved ? `<p class="saved" role="status">${SAVED[saved]}</p>` : ''}<form method="post" autocomplete="off">
${rows.map(rowHtml).join('\n')}
<button>Save</button>
</form>`,
  );
}

/** For a link that leads to nobody. It does not say why. */
export function unknownLinkPage(): string {
  const title = 'This link does not work';
  return page(
    title,
    '',
    `<h1>${title}</h1><p>Part of it may be missing, or it is of no use any more. Open the link in the newest message that you have.</p>`,
  );
}

/** From markup. */
function page(title: string, style: string, content: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>${title}</title><style>${STYLE}${style}</style></head><body><main>
${content}</main></body></html>`;
}

function rowHtml({ row, toggles }: ToggleRow, index: number): string {
  const name = escapeHtml(row.name);
  const id = `about-${index}`;
  const isLocked = toggles.some((toggle) => toggle.isLocked);
  const words = [row.description && escapeHtml(row.description), isLocked && LOCKED].filter(
    Boolean,
  );
  const about = words.length > 0 ? `<p class="quiet" id="${id}">${words.join(' ')}</p>` : '';
  const described = about && ` aria-describedby="${id}"`;
  const [only] = toggles;
  if (only && only.channelType === undefined) {
    return `<div class="row"><label>${switchHtml(only, described)}<span>${name}</span></label>${about}</div>`;
  }
  const switches = toggles.map(
    (toggle) =>
      `<label>${switchHtml(toggle, '')}<span>${toggle.channelType ? TYPE_NAMES[toggle.channelType] : ''}</span></label>`,
  );
  return `<fieldset class="row"${described}><legend>${name}</legend>${about}<div class="types">${switches.join('')}</div></fieldset>`;
}

/** A switch that is shown as on says so in a field of its own, so that a save knows what was turned. */
function switchHtml({ key, isOn, isLocked }: Toggle, described: string): string {
  const value = escapeHtml(key);
  const was = isOn && !isLocked ? `<input type="hidden" name="was_on" value="${value}">` : '';
  return `${was}<input type="checkbox" role="switch" name="on" value="${value}"${isOn ? ' checked' : ''}${isLocked ? ' disabled' : ''}${described}>`;
}

function logoOf({ name, branding }: AccountFace): string {
  const light = secureUrl(branding.logo_url ?? branding.icon_url);
  const dark = secureUrl(branding.dark_logo_url ?? branding.dark_icon_url);
  if (!light) return '';
  const source = dark && `<source media="(prefers-color-scheme: dark)" srcset="${dark}">`;
  return `<picture>${source}<img src="${light}" alt="${escapeHtml(name)}"></picture>`;
}

/** For an attribute; '' for what a browser would not load from this page. */
function secureUrl(url: string | null | undefined): string {
  if (!url || !URL.canParse(url)) return '';
  const { protocol, href } = new URL(url);
  // A comma ends a candidate of srcset.
  return protocol === 'https:' ? escapeHtml(href.replaceAll(',', '%2C')) : '';
}

function colorsOf(branding: Branding): string {
  const light = colorRule(branding.primary_color, branding.primary_color_contrast);
  const dark = colorRule(branding.dark_primary_color, branding.dark_primary_color_contrast);
  return `${light}${dark && `@media(prefers-color-scheme:dark){${dark}}`}`;
}

function colorRule(primary: string | null | undefined, contrast: string | null | undefined) {
  if (!primary || !isHex(primary)) return '';
  const on = contrast && isHex(contrast) ? contrast : readableOn(primary);
  return `:root{--primary:${primary};--on-primary:${on}}`;
}

/** Nothing else gets into the style. */
function isHex(color: string): boolean {
  return /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i.test(color);
}

/** Black or white, whichever has more contrast (WCAG 2.2, relative luminance: equal at 0.179). */
function readableOn(color: string): string {
  const digits =
    color.length === 4 ? [...color.slice(1)].map((d) => d + d).join('') : color.slice(1);
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) => {
    const part = Number.parseInt(digits.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? '#000' : '#fff';
}

const STYLE = `:root{--primary:#1d4ed8;--on-primary:#fff;--text:#18181b;--quiet:#52525b;--line:#d4d4d8;--edge:#71717a;--page:#f4f4f5;--card:#fff;--good:#166534}
@media(prefers-color-scheme:dark){:root{--primary:#93c5fd;--on-primary:#0b1220;--text:#f4f4f5;--quiet:#b4b4bd;--line:#3f3f46;--edge:#a1a1aa;--page:#111113;--card:#1c1c20;--good:#86efac}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0;padding:clamp(0px,5vw,4rem) 0;color:var(--text);background:var(--page);overflow-wrap:anywhere}
main{max-width:36rem;margin:0 auto;padding:clamp(1.25rem,5vw,2.5rem);background:var(--card);border-radius:12px}
img{max-width:12rem;max-height:3.5rem;display:block;margin-bottom:1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}
p{margin:0 0 .5rem}
.account{font-weight:600;color:var(--quiet)}
.quiet{color:var(--quiet);font-size:.9375rem}
.quiet strong{color:var(--text);font-weight:600}
.saved{margin:1rem 0 0;padding:.625rem .875rem;border:1px solid var(--good);border-left-width:4px;border-radius:6px;color:var(--good);font-weight:600}
form{margin-top:1.25rem}
.row{border:0;border-top:1px solid var(--line);margin:0;padding:1rem 0;min-width:0}
.row .quiet{margin:.125rem 0 0}
legend{float:left;width:100%;padding:0;font-weight:600}
legend+*{clear:both}
.row>label{margin:-.625rem 0;font-weight:600;justify-content:space-between;flex-direction:row-reverse;width:100%}
label{display:flex;align-items:center;gap:.75rem;min-height:44px;cursor:pointer}
label:has(:disabled){cursor:not-allowed}
.types{display:grid;grid-template-columns:repeat(auto-fill,minmax(8rem,1fr));gap:0 1rem;margin:.25rem 0 -.5rem}
input[type=checkbox]{appearance:none;flex:none;width:2.75rem;height:1.5rem;margin:0;border:2px solid var(--edge);border-radius:1rem;background:transparent;cursor:inherit;display:grid;align-items:center;padding:0 .1875rem}
input[type=checkbox]::before{content:"";width:.875rem;height:.875rem;border-radius:50%;background:var(--edge)}
input[type=checkbox]:checked{background:var(--primary);border-color:var(--edge)}
input[type=checkbox]:checked::before{background:var(--on-primary);margin-left:auto}
input[type=checkbox]:disabled{opacity:.55;border-style:dashed}
:focus-visible{outline:3px solid var(--text);outline-offset:2px}
button{font:inherit;font-weight:600;min-height:44px;padding:.5rem 1.75rem;margin-top:.5rem;border:1px solid var(--edge);border-radius:8px;background:var(--primary);color:var(--on-primary);cursor:pointer}
@media(forced-colors:active){input[type=checkbox]{appearance:auto}input[type=checkbox]::before{display:none}}
@media(max-width:480px){body{padding:0}main{border-radius:0;min-height:100vh}button{width:100%}}
`;
