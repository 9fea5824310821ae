import { Command } from 'commander';
import { runCommand, withServerOptions } from './run-command.ts';

export function doctorCommand(): Command {
  const command = new Command('doctor').description(
    'Look at the set-up and explain what is wrong with it. Changes nothing.',
  );
  return withServerOptions(command).action((options) =>
    runCommand(options, async (ctx) => {
      // Other commands need none of it.
      const { diagnose } = await import('./doctor/diagnose.ts');
      return diagnose(ctx);
    }),
  );
}
