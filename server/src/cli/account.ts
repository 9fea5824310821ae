import { Command } from 'commander';
import { accountLimitsCommand } from './account-limits.ts';
import { byFields, withByOptions } from './author.ts';
import { numberOption } from './number-option.ts';
import { runCommand, withServerOptions } from './run-command.ts';
import { fields } from './table.ts';

export function accountCommand(): Command {
  const account = new Command('account').description(
    'Create accounts; give them their share and limits.',
  );
  const create = new Command('create')
    .description('Create an account; prints its keys in the form of credentials.json, this once.')
    .argument('<name>', 'letters, digits, ".", "_" and "-"');
  account.addCommand(
    withByOptions(withServerOptions(create)).action((name: string, options) =>
      runCommand(options, async (ctx) => {
        const credentials = await ctx.client.request({
          role: 'operator',
          method: 'POST',
          path: '/ops/v1/accounts',
          body: { name, ...byFields(options) },
        });
        ctx.say(`Account ${name} is ready. Its keys are shown this once; keep them now.`);
        return { json: credentials, text: () => JSON.stringify(credentials, null, 2) };
      }),
    ),
  );
  account.addCommand(shareCommand());
  account.addCommand(accountLimitsCommand());
  return account;
}

function shareCommand(): Command {
  const share = new Command('share')
    .description('Show and change how much of the executors an account or environment gets.')
    .argument('<name>', 'an account, or an environment as account/slug')
    .addOption(
      numberOption(
        '--weight <number>',
        'against the others: twice the weight is twice the service',
      ),
    )
    .addOption(
      numberOption('--slots <number>', 'assignments that may hold its work at once, or any', 'any'),
    );
  return withByOptions(withServerOptions(share)).action((name: string, options) =>
    runCommand(options, async (ctx) => {
      const { weight, slots }: { weight?: number; slots?: number | 'any' } = options;
      const answer = await ctx.client.request({
        role: 'operator',
        method: 'PATCH',
        path: `/ops/v1/shares/${name.split('/').map(encodeURIComponent).join('/')}`,
        body: {
          ...(weight !== undefined && { weight }),
          ...(slots !== undefined && { slots: slots === 'any' ? null : slots }),
          ...byFields(options),
        },
      });
      return {
        json: answer,
        text: (style) =>
          fields(style, [
            ['weight', String(answer.weight)],
            ['slots', typeof answer.slots === 'number' ? String(answer.slots) : 'any'],
          ]),
      };
    }),
  );
}
