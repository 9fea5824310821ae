import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { locateProblem, readDirectory } from '../../src/control/read-directory.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'belfry-push-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function files(content: { readonly [path: string]: string | object }): Promise<void> {
  for (const [path, text] of Object.entries(content)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), typeof text === 'string' ? text : JSON.stringify(text));
  }
}

describe('a directory in the layout of the knock CLI', () => {
  test('is read with its extracted files in place, at any depth', async () => {
    await files({
      'knock/workflows/hello/workflow.json': {
        $schema: 'https://schemas.knock.app/cli/workflow.json',
        __readonly: { sha: 'x' },
        name: 'Hello',
        steps: [
          { ref: 'a', template: { 'markdown_body@': 'a/body.md' } },
          { ref: 'b', template: { 'visual_blocks@': './b/visual_blocks.json' } },
        ],
      },
      'knock/workflows/hello/a/body.md': 'Hi *you*',
      'knock/workflows/hello/b/visual_blocks.json': [
        { 'content@': 'visual_blocks/1.content.md', layout: { a: 1 } },
      ],
      'knock/workflows/hello/b/visual_blocks/1.content.md': 'Deep',
      'knock/workflows/other/workflow.json': { name: 'Other', steps: [] },
    });
    const read = await readDirectory(join(root, 'knock'));
    expect(read.problems).toEqual([]);
    expect(read.warnings).toEqual([]);
    expect(read.workflows.map(({ key, content }) => ({ key, content }))).toEqual([
      {
        key: 'hello',
        content: {
          name: 'Hello',
          steps: [
            { ref: 'a', template: { markdown_body: 'Hi *you*' } },
            { ref: 'b', template: { visual_blocks: [{ content: 'Deep', layout: { a: 1 } }] } },
          ],
        },
      },
      { key: 'other', content: { name: 'Other', steps: [] } },
    ]);
    const [hello] = read.workflows;
    const body = '$.steps[0].template.markdown_body';
    const found = hello && locateProblem(hello, body, 'output not closed (line 2, column 5)');
    expect(found).toEqual({
      file: 'workflows/hello/a/body.md:2:5',
      path: body,
      reason: 'output not closed',
    });
    expect(hello && locateProblem(hello, '$.name', 'is missing')).toEqual({
      file: 'workflows/hello/workflow.json',
      path: '$.name',
      reason: 'is missing',
    });
  });

  test('may be the directory of workflows, or of one workflow', async () => {
    await files({ 'workflows/hello/workflow.json': { name: 'Hello', steps: [] } });
    for (const path of [root, join(root, 'workflows'), join(root, 'workflows/hello')]) {
      const read = await readDirectory(path);
      expect(read.problems).toEqual([]);
      expect(read.workflows.map((workflow) => workflow.key)).toEqual(['hello']);
    }
  });

  test('holds what workflows share, too', async () => {
    await files({
      'layouts/default/layout.json': { name: 'Default', 'html_layout@': 'html_layout.html' },
      'layouts/default/html_layout.html': '<p>{{ content }}</p>',
      'partials/sign-off/partial.json': { name: 'S', type: 'json', 'content@': 'content.json' },
      'partials/sign-off/content.json': '{"a": 1}',
      'channel-groups/mails/channel_group.json': { name: 'Mails', channel_type: 'email' },
      'translations/es/es.json': '{"hi": "Hola"}',
      'translations/pt-BR/app.pt-BR.po': 'msgid "hi"',
      'translations/es/app.web.es~wayne.json': '{}',
      'translations/es/notes.txt': 'none of ours',
    });
    const read = await readDirectory(root);
    expect(read.problems).toEqual([
      expect.objectContaining({ file: 'translations/es/app.web.es~wayne.json' }),
    ]);
    expect(read.workflows).toEqual([]);
    expect(read.resources.map(({ kind, key, content }) => ({ kind, key, content }))).toEqual([
      {
        kind: 'layout',
        key: 'default',
        content: { name: 'Default', html_layout: '<p>{{ content }}</p>' },
      },
      {
        kind: 'partial',
        key: 'sign-off',
        content: { name: 'S', type: 'json', content: '{"a": 1}' },
      },
      {
        kind: 'channel_group',
        key: 'mails',
        content: { name: 'Mails', channel_type: 'email' },
      },
      { kind: 'translation', key: 'es', content: { format: 'json', content: '{"hi": "Hola"}' } },
      {
        kind: 'translation',
        key: 'pt-BR/app',
        content: { format: 'po', content: 'msgid "hi"' },
      },
    ]);
    for (const path of ['layouts', 'layouts/default', 'partials', 'translations/..']) {
      expect((await readDirectory(join(root, path))).resources.length).toBeGreaterThan(0);
    }
    expect((await readDirectory(join(root, 'translations'))).resources).toHaveLength(2);
  });

  test('with resources that cannot be pushed yet is read with a warning for each kind', async () => {
    await files({
      'workflows/hello/workflow.json': { name: 'Hello', steps: [] },
      'audiences/x/audience.json': {},
      'message-types/x/message_type.json': {},
    });
    const read = await readDirectory(root);
    expect(read.workflows).toHaveLength(1);
    expect(read.warnings.map((warning) => warning.file)).toEqual(['audiences', 'message-types']);
  });
});

describe('a defect is told with its file', () => {
  test('syntax with line and column', async () => {
    await files({
      'workflows/one/workflow.json': '{\n  "name": "x",\n  "steps": [}\n}',
      'workflows/two/workflow.json': '{\n  "name": "x",',
      'workflows/three/workflow.json': '[1]',
    });
    const { problems } = await readDirectory(root);
    expect(problems).toEqual([
      {
        file: 'workflows/one/workflow.json',
        path: '',
        reason: expect.stringMatching(/^not JSON: .*\(line 3, column 13\)$/),
      },
      { file: 'workflows/three/workflow.json', path: '', reason: 'must hold a JSON object' },
      {
        file: 'workflows/two/workflow.json',
        path: '',
        reason: expect.stringMatching(/^not JSON: .*\(line 2, column 15\)$/),
      },
    ]);
  });

  test('files that are missing, used twice, doubled, outside, or reached by a link', async () => {
    await files({
      secret: 'secret',
      'workflows/hello/ok.md': 'ok',
      'workflows/hello/workflow.json': {
        'a@': 'missing.md',
        'b@': 'ok.md',
        'c@': './ok.md',
        d: 1,
        'd@': 'ok.md',
        'e@': '../../secret',
        'f@': join(root, 'secret'),
        'g@': 'link',
        'h@': 5,
        'i@': '.',
        'j@': 'a\0b',
      },
    });
    await symlink(join(root, 'secret'), join(root, 'workflows/hello/link'));
    const { problems, workflows } = await readDirectory(root);
    expect(workflows).toEqual([]);
    expect(problems.map((problem) => problem.path)).toEqual(
      ['a', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((name) => `$.${name}@`),
    );
    expect(JSON.stringify(problems)).not.toContain('secretsecret');
  });

  test('a directory without workflows, one without workflow.json, and a name that is no key', async () => {
    await files({ 'workflows/hello/other.json': '{}', 'workflows/Not A Key/workflow.json': '{}' });
    const read = await readDirectory(root);
    expect(read.problems.map((problem) => problem.file)).toEqual([
      'workflows/Not A Key/workflow.json',
      'workflows/hello/workflow.json',
    ]);
    expect((await readDirectory(join(root, 'nowhere'))).problems).toHaveLength(1);
    expect((await readDirectory(join(root, 'workflows/hello'))).problems).toHaveLength(1);
  });

  test('nesting beyond all measure', async () => {
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    await files({ 'workflows/hello/workflow.json': `{"name":"x","steps":${deep}}` });
    expect((await readDirectory(root)).problems).toHaveLength(1);
  });
});
