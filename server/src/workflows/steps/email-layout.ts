import type { EmailLayout } from '../step.ts';

/** The layout that every environment has until it pushes one of this key. */
export const DEFAULT_LAYOUT_KEY = 'default';

const FONT = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";

/** A complete HTML document around the body of a mail. */
export const defaultLayout: EmailLayout = {
  html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<style>h1{margin:0 0 16px;font-size:26px;line-height:1.25}p:last-child{margin-bottom:0}</style>
</head>
<body style="margin:0;padding:0;background:#f4f4f7;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f4f4f7;">
<tr><td align="center" style="padding:32px 16px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:560px;background:#ffffff;border:1px solid #e6e6ec;border-radius:12px;">
<tr><td style="padding:32px;font-family:${FONT};font-size:16px;line-height:1.6;color:#1c1c28;">
{{ content }}
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>`,
  text: '',
  isMjml: false,
  footerLinks: [],
};
