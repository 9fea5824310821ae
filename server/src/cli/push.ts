import { Command } from 'commander';
import { runCommand, withServerOptions } from './run-command.ts';

export function pushCommand(): Command {
  const command = new Command('push')
    .description('Publish the workflows of a directory and what they share, all or none.')
    .argument(
      '<dir>',
      'holds workflows/<key>/workflow.json, layouts/, partials/, translations/; one workflow’s own directory will do',
    )
    .option('--check', 'only say what is wrong; publish nothing');
  return withServerOptions(command).action((dir: string, options) =>
    runCommand(options, async (ctx) => {
      // Other commands need none of it.
      const { push } = await import('./push/push.ts');
      return push(ctx, dir, options.check === true);
    }),
  );
}
