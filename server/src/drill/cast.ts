import { insertAccount, makeSigningKeys } from '../accounts/create-account.ts';
import type { Caller } from './load/protocol.ts';
import type { ScratchServer } from './scratch-server.ts';

const ENVIRONMENT = 'production';
const PUSHES_AT_ONCE = 8;

/** An account with a workflow, ready to be triggered. */
export type Actor = Caller & {
  readonly account: string;
  readonly environment: string;
  readonly environmentId: number;
  readonly keyHint: string;
};

export type Cast = {
  readonly quiet: readonly Actor[];
  readonly culprit: Actor;
  readonly broadcaster: Actor;
  /** Send e-mails with large bodies; only with an object store. */
  readonly mailers: readonly Actor[];
};

export type CastSize = {
  readonly quietAccounts: number;
  readonly culpritUsers: number;
  readonly audience: number;
  readonly mailers: number;
};

/** A feed message with a condition and a template. */
const STEPS = [
  {
    type: 'channel',
    ref: 'in_app_feed_1',
    channel_key: 'in-app',
    channel_type: 'in_app_feed',
    conditions: { all: [{ variable: 'data.amount', operator: 'greater_than', argument: '10' }] },
    template: {
      markdown_body:
        'Hi **{{ recipient.name }}**, {{ data.actor_name }} sent you {{ data.amount }} EUR.',
      action_url: 'https://example.com/payments',
    },
  },
] as const;

type Steps = typeof STEPS | typeof MAIL_STEPS;

const MAIL_USERS = 10;
const MAIL_TEXT = 'Thank you for your order, which is on its way to you. '.repeat(75);

/** About 4 KB, and with its own number at the end, so that one can be told from another and from half of one. */
export function mailBody(number: string): string {
  return `${MAIL_TEXT}This is mail ${number}.`;
}

const MAIL_STEPS = [
  {
    type: 'channel',
    ref: 'email_1',
    channel_key: 'email',
    template: { subject: 'Receipt #{{ data.drill }}', text_body: mailBody('{{ data.drill }}') },
  },
] as const;

/** Makes the accounts, their users and their workflows. */
export async function assembleCast(server: ScratchServer, size: CastSize): Promise<Cast> {
  // Nobody signs a user token here, so all accounts may share the keys, which take long to make.
  const signingKeys = await makeSigningKeys(2);
  const make = async (
    account: string,
    workflowKey: string,
    users: number,
    steps: Steps = STEPS,
  ): Promise<Actor> => {
    const credentials = await server.db.transaction((tx) =>
      insertAccount(tx, { name: account }, signingKeys),
    );
    const keys = credentials.environments[ENVIRONMENT];
    if (!keys) throw new Error(`the account ${account} has no environment ${ENVIRONMENT}`);
    const [environment] = await server.db.query<{ readonly id: number }>(
      `select e.id
       from environment e
       join account a on a.id = e.account_id
       where a.name = $1
         and e.slug = $2`,
      [account, ENVIRONMENT],
    );
    const environmentId = environment?.id ?? 0;
    await server.db.query(
      `insert into recipient (environment_id, collection, id, properties)
       select $1, '$users', $2 || '-' || n, jsonb_build_object('name', 'User ' || n, 'plan', 'pro')
       from generate_series(1, $3::int) as n`,
      [environmentId, 'user', users],
    );
    await push(server, credentials.service_token, workflowKey, steps);
    return {
      account,
      environment: ENVIRONMENT,
      environmentId,
      keyHint: keys.secret_key.slice(-4),
      secretKey: keys.secret_key,
      publicKey: keys.public_key,
      channelId: keys.channels['in-app'] ?? '',
      workflowKey,
      recipientPrefix: 'user',
      users,
    };
  };

  const quiet: Actor[] = [];
  const names = Array.from({ length: size.quietAccounts }, (_, n) => `quiet-${n + 1}`);
  for (let start = 0; start < names.length; start += PUSHES_AT_ONCE) {
    const some = names.slice(start, start + PUSHES_AT_ONCE);
    quiet.push(...(await Promise.all(some.map((name) => make(name, 'receipt', 1)))));
  }
  const culprit = await make('culprit', 'digest', size.culpritUsers);
  const broadcaster = await make('broadcaster', 'announcement', size.audience);
  const mailers: Actor[] = [];
  for (let n = 1; n <= size.mailers; n++) {
    const mailer = await make(`mailer-${n}`, 'receipt-by-mail', MAIL_USERS, MAIL_STEPS);
    await server.db.query(
      `update recipient
       set properties = properties || jsonb_build_object('email', id || '@example.com')
       where environment_id = $1`,
      [mailer.environmentId],
    );
    mailers.push(mailer);
  }
  await server.db.query('analyze recipient');
  return { quiet, culprit, broadcaster, mailers };
}

async function push(
  server: ScratchServer,
  serviceToken: string,
  key: string,
  steps: Steps,
): Promise<void> {
  const response = await fetch(`${server.url}/control/v1/push?environment=${ENVIRONMENT}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${serviceToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ workflows: [{ key, content: { name: key, steps } }] }),
  });
  if (!response.ok) throw new Error(`the push of ${key} was refused: ${await response.text()}`);
}
