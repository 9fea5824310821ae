import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A shell block of a page, and the lines that the page shows of what it prints. */
export type ShellBlock = {
  /** The arguments of `belfry`, a command a list. */
  readonly commands: readonly (readonly string[])[];
  /** `…` stands for what differs. */
  readonly shown: readonly string[];
};

export type ExamplePage = {
  /** The workflow's. */
  readonly key: string;
  readonly text: string;
  readonly blocks: readonly ShellBlock[];
};

export const root = join(import.meta.dirname, '..', '..', '..', '..');
const pages = join(root, 'docs', 'workflows', 'examples');

/** The pages of the examples, each with what it tells the reader to run. */
export async function examplePages(): Promise<ExamplePage[]> {
  const files = (await readdir(pages)).filter((name) => name.endsWith('.md')).sort();
  return Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(pages, file), 'utf8');
      return { key: file.replace('.md', ''), text, blocks: shellBlocks(text) };
    }),
  );
}

function shellBlocks(text: string): ShellBlock[] {
  const blocks: { commands: string[][]; shown: string[] }[] = [];
  for (const [, language, body = ''] of text.matchAll(/^```(sh|text)\n(.*?)^```/gms)) {
    const lines = body
      .replaceAll(/\\\n\s*/g, ' ')
      .split('\n')
      .filter(Boolean);
    if (language === 'sh') blocks.push({ commands: lines.map(argumentsOf), shown: [] });
    else blocks.at(-1)?.shown.push(...lines);
  }
  return blocks;
}

/** Of `npx belfry run x --data '{"a": 1}'` what stands behind `belfry`; quotes are single ones. */
function argumentsOf(line: string): string[] {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word);
  const [npx, belfry, ...args] = words;
  if (npx !== 'npx' || belfry !== 'belfry') throw new Error(`not a command of belfry: ${line}`);
  return args.map(String);
}
