import { InvalidArgumentError, Option } from 'commander';

/** An option that is a number above 0, or a word that stands for none; anything else is a usage error. */
export function numberOption(flags: string, description: string, word?: string): Option {
  return new Option(flags, description).argParser((text: string): number | string => {
    if (text === word) return text;
    const value = Number(text);
    if (value > 0 && Number.isFinite(value)) return value;
    throw new InvalidArgumentError(
      `give a number above 0${word === undefined ? '' : `, or ${word}`}.`,
    );
  });
}
