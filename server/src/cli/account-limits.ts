import { Argument, Command, type Option } from 'commander';
import { byFields, withByOptions } from './author.ts';
import { numberOption } from './number-option.ts';
import { runCommand, withServerOptions } from './run-command.ts';
import { fields } from './table.ts';

type Limit = number | 'none';

type LimitOptions = {
  readonly key?: boolean;
  readonly requests?: Limit;
  readonly runs?: Limit;
  readonly bytes?: Limit;
};

/** `belfry account limits`: shows and changes what an account, or one of its keys, may send. */
export function accountLimitsCommand(): Command {
  const command = new Command('limits')
    .description('Show and change how much an account may send a second; `none` lifts a limit.')
    .addArgument(new Argument('<name>', 'of the account, or with --key the id of a key (key_12)'))
    .option('--key', 'limit one API key')
    .addOption(limit('--requests <number>', 'requests a second'))
    .addOption(limit('--runs <number>', 'recipient runs a second'))
    .addOption(limit('--bytes <number>', 'bytes of bodies a second'));
  return withByOptions(withServerOptions(command)).action((name: string, options) =>
    runCommand(options, async (ctx) => {
      const { key, requests, runs, bytes }: LimitOptions = options;
      const answer = await ctx.client.request({
        role: 'operator',
        method: 'POST',
        path: `/ops/v1/${key ? 'keys' : 'accounts'}/${encodeURIComponent(name)}/limits`,
        body: {
          ...(requests !== undefined && { requests_per_s: wire(requests) }),
          ...(runs !== undefined && { runs_per_s: wire(runs) }),
          ...(bytes !== undefined && { bytes_per_s: wire(bytes) }),
          ...byFields(options),
        },
      });
      const show = (value: unknown): string => (typeof value === 'number' ? String(value) : 'none');
      return {
        json: answer,
        text: (style) =>
          fields(style, [
            ['requests a second', show(answer.requests_per_s)],
            ['runs a second', show(answer.runs_per_s)],
            ['bytes a second', show(answer.bytes_per_s)],
          ]),
      };
    }),
  );
}

function wire(limit: Limit): number | null {
  return limit === 'none' ? null : limit;
}

function limit(flags: string, description: string): Option {
  return numberOption(flags, description, 'none');
}
