import { createInterface } from 'node:readline/promises';
import { CliError } from './result.ts';

type Terminal = {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
};

/** Asks on the terminal. Throws where nobody can be asked, and when the answer is not yes. */
export async function confirm(
  question: string,
  { stdin, stderr }: Terminal = process,
): Promise<void> {
  if (!stdin.isTTY || !stderr.isTTY) {
    throw new CliError(
      'confirmation_needed',
      'Nothing was changed: this is no terminal, so nobody can be asked. Add --yes to do it without asking.',
    );
  }
  const lines = createInterface({ input: stdin, output: stderr });
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  const answer = await Promise.race([lines.question(`${question} [y/N] `), closed]);
  lines.close();
  if (/^y(?:es)?$/i.test(answer.trim())) return;
  throw new CliError('not_confirmed', 'Nothing was changed.');
}
