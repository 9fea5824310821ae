import { Command, Option } from 'commander';
import { USUAL_MINUTES } from '../drill/plan.ts';
import type { DrillOptions } from './drill/noisy-neighbour.ts';
import { runCommand } from './run-command.ts';

export function drillCommand(): Command {
  const drill = new Command('drill').description(
    'Replay an incident on a scratch server of its own, and judge what it does to others.',
  );
  drill.addCommand(
    new Command('noisy-neighbour')
      .description(
        'One account floods at 75 times normal while an executor is killed and the database restarted.',
      )
      .addOption(
        new Option(
          '--minutes <n>',
          `how long it may take; below ${USUAL_MINUTES} the goal of the worst account cannot be reached`,
        ).default(String(USUAL_MINUTES)),
      )
      .option('--rehearsal', 'everything small and within a minute; speed is not judged')
      .option('--object-store', 'bodies go to an object store, which is throttled to 5 % meanwhile')
      .option('--log-store', 'events are shipped to a log store, which is cut off meanwhile')
      .option(
        '--full-disk',
        'fill up the database’s disk; needs root. With a store that is done where possible.',
      )
      .option('--json', 'one JSON document on stdout')
      .action((options: DrillOptions) =>
        runCommand(options, async (ctx) => {
          // Other commands need none of it.
          const { play } = await import('./drill/noisy-neighbour.ts');
          return play(ctx, options);
        }),
      ),
  );
  return drill;
}
