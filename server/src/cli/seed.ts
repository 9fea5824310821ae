import { Command } from 'commander';
import { runCommand, withServerOptions } from './run-command.ts';

export function seedCommand(): Command {
  const seed = new Command('seed').description('Make data for tests.');
  seed.addCommand(
    withServerOptions(
      new Command('sdk-fixtures')
        .description(
          'What the test suites of Knock’s SDKs ask for, with their key; again puts everything back. Needs the database.',
        )
        .option('--yes', 'also where there is other data'),
    ).action((options) =>
      runCommand(options, async (ctx) => {
        // Other commands need none of it.
        const { seedSdkFixtures } = await import('./seed/sdk-fixtures.ts');
        return seedSdkFixtures(ctx, options.yes === true);
      }),
    ),
  );
  return seed;
}
