import { expect, test } from 'vitest';
import { markdownToHtml, safeUrl } from '../../src/feed/markdown.ts';

test.each([
  ['<script>alert(1)</script>', '<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>'],
  ['&lt;b&gt;', '<p>&lt;b&gt;</p>'],
  ['[x](javascript:alert(1))', '<p>[x](javascript:alert(1))</p>'],
  ['![x](data:text/html,x)', '<p>![x](data:text/html,x)</p>'],
  ['**a** "b"', '<p><strong>a</strong> &quot;b&quot;</p>'],
])('markdown cannot do more than show itself: %s', (source, html) => {
  expect(markdownToHtml(source)).toBe(html);
});

test.each(['javascript:alert(1)', ' java\tscript:alert(1)', 'VBScript:x', 'data:text/html,x'])(
  'an address that would run a script is dropped: %s',
  (url) => {
    expect(safeUrl(url)).toBe('');
  },
);

test('a very long text is shown up to a limit', () => {
  expect(markdownToHtml('a'.repeat(10_000))).toBe(`<p>${'a'.repeat(10_000)}</p>`);
  expect(markdownToHtml('a'.repeat(1_000_000))).toBe(`<p>${'a'.repeat(10_000)}…</p>`);
});
