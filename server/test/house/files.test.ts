import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NODE_FLAGS } from '../../src/lib/node-flags.ts';
import { sourceFiles } from './source-files.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const code = sourceFiles(root, ['.ts', '.tsx', '.js', '.mjs', '.css', '.sql', '.sh']);
const prose = sourceFiles(root, ['.md', '.json', '.html', '.liquid', '.yml', '.yaml']);

const read = (file: string) => readFileSync(join(root, file), 'utf8');

test('no program is longer than 500 lines', () => {
  const generated = 'server/schema.sql';
  const long = code
    .filter((file) => file !== generated && !file.endsWith('.css'))
    .map((file) => ({ file, lines: read(file).split('\n').length }))
    .filter(({ lines }) => lines > 500);
  expect(long).toEqual([]);
});

test('no file names a path of the machine that it was written on', () => {
  const path = /(?<![\w.:/-])\/(?:home|Users|root|work|workspace)\/[\w.-]+/;
  const named = [...code, ...prose].filter((file) => path.test(read(file)));
  expect(named).toEqual([]);
});

test('no code is left half done', () => {
  const mark =
    /\b(?:TODO|FIXME|XXX|HACK)\b|\b(?:test|it|describe)\.(?:only|skip|todo)\(|\bdebugger;/;
  const self = 'server/test/house/files.test.ts';
  expect(code.filter((file) => file !== self && mark.test(read(file)))).toEqual([]);
});

test('the program starts Node as its executors are started', () => {
  const [start] = read('server/bin/belfry.js').split('\n');
  expect(start).toBe(`#!/usr/bin/env -S node ${NODE_FLAGS.join(' ')}`);
});

test('a program is executable where others start it by its name', () => {
  for (const file of ['.ci/run', 'server/bin/belfry.js']) {
    expect(existsSync(join(root, file))).toBe(true);
    execFileSync('test', ['-x', join(root, file)]);
  }
});
