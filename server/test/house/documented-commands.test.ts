import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../src/cli/main.ts';
import { sourceFiles } from './source-files.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
};

type Line = { readonly file: string; readonly command: string };

/** Every line of every shell block of the documentation. */
const lines: readonly Line[] = sourceFiles(root, ['.md']).flatMap((file) => {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/\\\n\s*/g, ' ');
  const blocks = text.matchAll(/^```(?:sh|bash|shell|console)\n(.*?)^```/gms);
  return [...blocks].flatMap(([, block = '']) =>
    block
      .split('\n')
      .map((line) => line.replace(/^\$ /, '').trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
      .flatMap((line) => line.split(/\s+&&\s+/))
      .map((command) => ({ file, command })),
  );
});

test('every npm script that the documentation calls exists', () => {
  const missing = lines.filter(({ command }) => {
    const name = /^npm (?:run (\S+)|(start|test)\b)/.exec(command);
    const script = name?.[1] ?? name?.[2];
    return script !== undefined && !command.includes(' -w ') && !(script in scripts);
  });
  expect(missing).toEqual([]);
});

test('every belfry command and option that the documentation prints exists', () => {
  const wrong = lines.flatMap(({ file, command }) => {
    const words = /\bbelfry (.+)$/.exec(command)?.[1]?.split(/\s+/) ?? [];
    if (words.length === 0 || !/^(?:npx |[A-Z_]+=\S+ )*belfry /.test(command)) return [];
    return unknownWords(createProgram(), words).map((word) => `${file}: ${command}: ${word}`);
  });
  expect(wrong).toEqual([]);
});

function unknownWords(program: Command, words: readonly string[]): string[] {
  let command = program;
  const unknown: string[] = [];
  for (const word of words) {
    const child = command.commands.find((candidate) => candidate.name() === word);
    if (child) {
      command = child;
      continue;
    }
    if (command.commands.length > 0 && !word.startsWith('-')) return [word];
    const option = /^--[\w-]+/.exec(word)?.[0];
    if (option && option !== '--help' && !command.options.some(({ long }) => long === option)) {
      unknown.push(word);
    }
  }
  return unknown;
}
