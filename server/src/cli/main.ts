import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { accountCommand } from './account.ts';
import { auditCommand } from './audit.ts';
import { broadcastCommand } from './broadcast.ts';
import { doctorCommand } from './doctor.ts';
import { drillCommand } from './drill.ts';
import { eventsCommand } from './events.ts';
import { keysCommand } from './keys.ts';
import { ledgerCommand } from './ledger.ts';
import { logsCommand } from './logs.ts';
import { messagesCommand } from './messages.ts';
import { discardCommand, holdCommand, slowCommand } from './order-verbs.ts';
import { ordersCommand, releaseCommand, replayCommand } from './orders.ts';
import { pushCommand } from './push.ts';
import { quarantineCommand } from './quarantine.ts';
import { CliError } from './result.ts';
import { runWorkflowCommand } from './run.ts';
import { showFailure } from './run-command.ts';
import { runsCommand } from './runs.ts';
import { seedCommand } from './seed.ts';
import { startCommand } from './start.ts';
import { storesCommand } from './stores.ts';
import { topCommand } from './top.ts';
import { triggerCommand } from './trigger.ts';
import { brandingCommand, variablesCommand } from './variables.ts';
import { webhooksCommand } from './webhooks.ts';

/** The operator's CLI. Sets the exit code: 0 done, 1 failed, 2 called in a wrong way. */
export async function main(args: readonly string[]): Promise<void> {
  process.stdout.on('error', ignoreBrokenPipe);
  const program = createProgram();
  const wantsJson = args.includes('--json');
  throwInsteadOfExit(program, wantsJson);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 || error.code === 'commander.help' ? error.exitCode : 2;
    if (error.exitCode !== 0 && wantsJson) {
      const message = error.message.replace(/^error: /, '');
      await showFailure(new CliError('usage', message), true);
    }
  }
}

/** Every command; a new one is one file beside this one and one line here. */
export function createProgram(): Command {
  const program = new Command('belfry')
    .description('Notification infrastructure that keeps ringing.')
    .version(packageVersion(), '-v, --version', 'print the version')
    // Behind a command, -v may be a value.
    .enablePositionalOptions()
    .showHelpAfterError('(see --help)');
  program.addCommand(startCommand());
  program.addCommand(pushCommand());
  program.addCommand(variablesCommand());
  program.addCommand(brandingCommand());
  program.addCommand(runWorkflowCommand());
  program.addCommand(triggerCommand());
  program.addCommand(runsCommand());
  program.addCommand(messagesCommand());
  program.addCommand(eventsCommand());
  program.addCommand(logsCommand());
  program.addCommand(broadcastCommand());
  program.addCommand(topCommand());
  program.addCommand(holdCommand());
  program.addCommand(slowCommand());
  program.addCommand(discardCommand());
  program.addCommand(releaseCommand());
  program.addCommand(replayCommand());
  program.addCommand(ordersCommand());
  program.addCommand(quarantineCommand());
  program.addCommand(webhooksCommand());
  program.addCommand(keysCommand());
  program.addCommand(accountCommand());
  program.addCommand(auditCommand());
  program.addCommand(ledgerCommand());
  program.addCommand(storesCommand());
  program.addCommand(drillCommand());
  program.addCommand(seedCommand());
  program.addCommand(doctorCommand());
  return program;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
}

function throwInsteadOfExit(command: Command, wantsJson: boolean): void {
  command.exitOverride();
  // With --json the message comes with the document.
  if (wantsJson) command.configureOutput({ writeErr: () => {} });
  for (const child of command.commands) throwInsteadOfExit(child, wantsJson);
}

/** `belfry runs | head` is no failure. */
function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
}
