import { CliError } from './result.ts';

type Terminal = {
  readonly stdin: NodeJS.ReadStream;
  readonly stderr: NodeJS.WritableStream;
};

const MAX_LENGTH = 64 * 1024;
const END_OF_TEXT = '\u0003';
const END_OF_INPUT = '\u0004';

/**
 * A value that does not belong in a command line, which others on the machine can read: from a pipe, without the last
 * line break, or typed at a terminal that does not show it.
 */
export async function readValue(
  question: string,
  { stdin, stderr }: Terminal = process,
): Promise<string> {
  if (stdin.isTTY) return typed(question, stdin, stderr);
  let text = '';
  for await (const piece of stdin.setEncoding('utf8')) {
    text += String(piece);
    if (text.length > MAX_LENGTH) {
      throw new CliError('usage', `The value has more than ${MAX_LENGTH} characters.`);
    }
  }
  return text.replace(/\r?\n$/, '');
}

async function typed(
  question: string,
  stdin: NodeJS.ReadStream,
  stderr: NodeJS.WritableStream,
): Promise<string> {
  stderr.write(`${question}: `);
  stdin.setRawMode(true).setEncoding('utf8');
  let text = '';
  try {
    for await (const piece of stdin) {
      for (const key of String(piece)) {
        if (key === '\r' || key === '\n' || key === END_OF_INPUT) return text;
        if (key === END_OF_TEXT) throw new CliError('not_confirmed', 'Nothing was changed.');
        text = key === '\u007f' || key === '\b' ? text.slice(0, -1) : text + key;
        if (text.length > MAX_LENGTH) throw new CliError('usage', 'The value is too long.');
      }
    }
    return text;
  } finally {
    stdin.setRawMode(false);
    stderr.write('\n');
  }
}
