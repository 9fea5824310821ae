const NEWLINE = 10;

/** The first `most` lines, each with the end of its line; parts of the same memory. */
export function splitLines(lines: Buffer, most = Number.POSITIVE_INFINITY): Buffer[] {
  const each: Buffer[] = [];
  for (let start = 0; start < lines.length && each.length < most; ) {
    const end = lines.indexOf(NEWLINE, start) + 1 || lines.length;
    each.push(lines.subarray(start, end));
    start = end;
  }
  return each;
}
