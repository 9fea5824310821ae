/** GSM 03.38: the basic table, and the characters that take two places in it. */
const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
const TWICE = '^{}\\[~]|€\f';

/** How long a text message is, and into how many it is cut: 160 or 153 characters of GSM, 70 or 67 of UCS-2. */
export function smsLength(body: string): {
  readonly characters: number;
  readonly segments: number;
  readonly alphabet: 'GSM' | 'UCS-2';
} {
  const letters = [...body];
  if (letters.every((letter) => BASIC.includes(letter) || TWICE.includes(letter))) {
    const characters = letters.reduce((sum, letter) => sum + (TWICE.includes(letter) ? 2 : 1), 0);
    return { characters, segments: segmentsOf(characters, 160, 153), alphabet: 'GSM' };
  }
  return {
    characters: body.length,
    segments: segmentsOf(body.length, 70, 67),
    alphabet: 'UCS-2',
  };
}

function segmentsOf(characters: number, alone: number, joined: number): number {
  return characters <= alone ? 1 : Math.ceil(characters / joined);
}
