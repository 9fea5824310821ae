import { Command } from 'commander';
import { runCommand, withServerOptions } from './run-command.ts';

export function accountCommand(): Command {
  const account = new Command('account').description('Create accounts.');
  const create = new Command('create')
    .description('Create an account; prints its keys in the form of credentials.json, this once.')
    .argument('<name>', 'letters, digits, ".", "_" and "-"');
  account.addCommand(
    withServerOptions(create).action((name: string, options) =>
      runCommand(options, async (ctx) => {
        const credentials = await ctx.client.request({
          role: 'operator',
          method: 'POST',
          path: '/ops/v1/accounts',
          body: { name },
        });
        ctx.say(`Account ${name} is ready. Its keys are shown this once; keep them now.`);
        return { json: credentials, text: () => JSON.stringify(credentials, null, 2) };
      }),
    ),
  );
  return account;
}
