import { describe, expect, test } from 'vitest';
import {
  trackedHtml,
  trackedText,
  withOpenPicture,
  withTrackedLinks,
} from '../../src/lib/track-links.ts';

const track = (url: string) => `T(${url})`;

describe('links in HTML', () => {
  test.each([
    ['<a href="https://a.b/c?x=1&amp;y=2">x</a>', '<a href="T(https://a.b/c?x=1&y=2)">x</a>'],
    ["<A class='y' HREF = 'https://a.b'>x</A>", `<A class='y' HREF = "T(https://a.b)">x</A>`],
    ['<a href=https://a.b/c title=z>x</a>', '<a href="T(https://a.b/c)" title=z>x</a>'],
    ['<area shape="rect" href="https://a.b"/>', '<area shape="rect" href="T(https://a.b)"/>'],
    ['<a\nhref="https://a.b"\n>x</a>', '<a\nhref="T(https://a.b)"\n>x</a>'],
    ['<a title="a > b" href="https://a.b">x</a>', '<a title="a > b" href="T(https://a.b)">x</a>'],
  ])('are tracked: %s', (html, tracked) => {
    expect(trackedHtml(html, track)).toBe(tracked);
  });

  test.each([
    '<a href="http://a.b">x</a>',
    '<a href="mailto:a@b.c">x</a>',
    '<a href="#top">x</a>',
    '<a name="x">x</a>',
    '<abbr href="https://a.b">x</abbr>',
    '<img src="https://a.b/p.png">',
    '<link href="https://a.b/s.css">',
    '<!-- <a href="https://a.b">x</a> -->',
    '<!--[if mso]><a href="https://a.b">x</a><![endif]-->',
    '<style>a{content:"<a href=\'https://a.b\'>"}</style>',
    '5 < 6 and <a href="https://a.b',
    '<a data-href="https://a.b">x</a>',
  ])('stay as they are: %s', (html) => {
    expect(trackedHtml(html, track)).toBe(html);
  });

  test('with data-knock-no-track stay and lose the attribute, also in the text of the mail', () => {
    const content = {
      html_body:
        '<a data-knock-no-track href="https://a.b/no">n</a><a href="https://a.b/no2" data-knock-no-track="true">m</a><a href="https://a.b/yes">y</a>',
      text_body: 'https://a.b/no https://a.b/no2 https://a.b/yes',
    };
    expect(withTrackedLinks(content, track)).toEqual({
      html_body:
        '<a href="https://a.b/no">n</a><a href="https://a.b/no2">m</a><a href="T(https://a.b/yes)">y</a>',
      text_body: 'https://a.b/no https://a.b/no2 T(https://a.b/yes)',
    });
  });

  test('in hostile HTML take time that grows with its length, not with its square', () => {
    const size = 200_000;
    for (const part of ['<a "', '<!--', '<a href=', '<style', '<', '<a href="https://a.b" ']) {
      const html = part.repeat(size / part.length);
      const startedMs = performance.now();
      trackedHtml(html, track);
      trackedText(html, track);
      expect(performance.now() - startedMs, part).toBeLessThan(2_000);
    }
  });
});

describe('links in texts', () => {
  test.each([
    ['See https://a.b/c.', 'See T(https://a.b/c).'],
    ['(https://a.b/c)', '(T(https://a.b/c))'],
    ['[x](https://a.b/c_(d)) more', '[x](T(https://a.b/c_(d))) more'],
    ['<https://a.b/c|label>', '<T(https://a.b/c)|label>'],
    ['**https://a.b/c**', '**T(https://a.b/c)**'],
    ['http://a.b and a.b', 'http://a.b and a.b'],
  ])('%s', (text, tracked) => {
    expect(trackedText(text, track)).toBe(tracked);
  });

  test('of a chat are in its texts and buttons, not in its pictures', () => {
    const json = {
      blocks: [
        { type: 'section', text: { type: 'mrkdwn', text: 'Go <https://a.b/c|there>' } },
        { type: 'button', url: 'https://a.b/d', value: 'https://a.b/e' },
        { type: 'image', image_url: 'https://a.b/p.png' },
        { type: 'Image', url: 'https://a.b/q.png' },
      ],
    };
    expect(withTrackedLinks({ json }, track)).toEqual({
      json: {
        blocks: [
          { type: 'section', text: { type: 'mrkdwn', text: 'Go <T(https://a.b/c)|there>' } },
          { type: 'button', url: 'T(https://a.b/d)', value: 'https://a.b/e' },
          { type: 'image', image_url: 'https://a.b/p.png' },
          { type: 'Image', url: 'https://a.b/q.png' },
        ],
      },
    });
  });
});

test('the picture of openings is the last thing in the body', () => {
  const html = (content: object) => (content as { html_body: string }).html_body;
  expect(html(withOpenPicture({ html_body: '<body>x</BODY></html>' }, 'U'))).toMatch(
    /^<body>x<img src="U" [^>]*><\/BODY><\/html>$/,
  );
  expect(html(withOpenPicture({ html_body: 'x' }, 'U'))).toMatch(/^x<img src="U"/);
  expect(withOpenPicture({ text_body: 'x' }, 'U')).toEqual({ text_body: 'x' });
});
