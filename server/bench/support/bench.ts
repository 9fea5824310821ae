/** What a benchmark measured, by name. */
export type BenchResult = { readonly [figure: string]: number | string | boolean };

/** `say` is for progress; options are `--name=value` of the command line. */
export type Bench = (
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
) => Promise<BenchResult>;
