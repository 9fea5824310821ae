/** The variables, for the documentation (`docs/configuration.md`). */
export const configVariables = [
  ['BELFRY_PORT', '4400', 'TCP port of the one origin. 0 picks a free one.'],
  ['BELFRY_HOST', '127.0.0.1', 'Address to listen on. `0.0.0.0` for every IPv4 interface.'],
  [
    'BELFRY_PUBLIC_URL',
    '(from BELFRY_HOST and BELFRY_PORT)',
    'Where recipients reach the server, for the links in messages: `https://notify.example.com`.',
  ],
  [
    'BELFRY_DATA_DIR',
    './.belfry',
    'Folder of the embedded database, `credentials.json` and caught mail. Made if it is not there.',
  ],
  [
    'DATABASE_URL',
    '(embedded PostgreSQL 18)',
    'URL of a PostgreSQL 15 or newer, `postgres://user:password@host:5432/name`.',
  ],
  [
    'BELFRY_DISK_FLOOR_MB',
    '(1024; of a disk below 20 GB 5 %, 128 at least)',
    'Free space in MB below which the embedded database takes nothing new, 0 to 1048576; 0: never. See `docs/operating/full-disk.md`.',
  ],
  [
    'BELFRY_SMTP_URL',
    '(built-in viewer)',
    'Mail server, `smtp://user:password@host:587` or `smtps://…`.',
  ],
  ['BELFRY_MAIL_FROM', 'Belfry <belfry@localhost>', 'Sender of e-mails whose step names none.'],
  [
    'BELFRY_ALLOW_PRIVATE_WEBHOOKS',
    'false',
    '`true` lets webhooks reach private and loopback addresses.',
  ],
  [
    'BELFRY_AI_URL',
    '(AI steps fail)',
    'OpenAI-compatible endpoint that AI steps ask, `https://api.example.com/v1`; may be on a private address.',
  ],
  ['BELFRY_AI_KEY', '(none)', 'API key of that endpoint.'],
  [
    'BELFRY_DEMO',
    'true',
    '`false` turns the demo page and the message viewer (`/dev/*`) off, also on a loopback address.',
  ],
  [
    'BELFRY_RATE_LIMITS',
    'off',
    '`knock` gives each endpoint the requests a second of its tier at Knock (1, 5, 60, 200 or 1,000).',
  ],
  [
    'BELFRY_BOOTSTRAP_SECRET_KEY',
    '(generated)',
    'Secret key of `development` that the first start makes. For tests.',
  ],
  ['BELFRY_BOOTSTRAP_PUBLIC_KEY', '(generated)', 'Public key of `development`, likewise.'],
  ['BELFRY_BOOTSTRAP_SERVICE_TOKEN', '(generated)', 'Service token of `demo`, likewise.'],
  ['BELFRY_LOG_LEVEL', 'info', `One of fatal, error, warn, info, debug, trace, silent.`],
  ['BELFRY_EXECUTORS', '(half the cores, 1 to 4)', 'Executor processes, 1 to 64.'],
  [
    'BELFRY_API_LOGS_PER_SECOND',
    '20',
    'Requests of an account to the runtime API that are recorded a second, 0 to 1000; 0: none.',
  ],
  [
    'BELFRY_CANARY',
    'on',
    'Trigger a workflow of the server’s own every 15 seconds and alert when it does not get through: `on`, `off`, or the seconds, 1 to 3600.',
  ],
  [
    'BELFRY_QUARANTINE',
    'act',
    'What happens to an account that floods: `act`, `shadow` (decided and recorded, not done) or `off`.',
  ],
  [
    'BELFRY_QUARANTINE_PAUSE',
    'false',
    '`true` holds the work of a flooding account when 10 minutes of it wait; otherwise that is only recorded.',
  ],
  [
    'BELFRY_QUARANTINE_REJECT',
    'false',
    '`true` answers an account with 429 while its queue is full; otherwise that is only recorded.',
  ],
  [
    'BELFRY_QUARANTINE_BACKLOG',
    '10000000',
    'Queued recipient runs with which the queue of an account is full.',
  ],
  [
    'BELFRY_RETENTION_LOGS_DAYS',
    '90',
    'Days that traces of runs, events of messages and delivery logs are kept, 7 to 3650; 0: for ever. Not longer than messages.',
  ],
  [
    'BELFRY_RETENTION_MESSAGES_DAYS',
    '0',
    'Days that messages, items of feeds among them, and the triggers that they come from are kept, 7 to 3650; 0: for ever.',
  ],
  ['BELFRY_RETENTION_API_LOGS_DAYS', '30', 'Days that API logs are kept, 7 to 3650; 0: for ever.'],
  [
    'BELFRY_RETENTION_AUDIT_DAYS',
    '365',
    'Days that the audit log and the history of quarantine are kept, 7 to 3650; 0: for ever.',
  ],
  [
    'BELFRY_OBJECT_STORE',
    '(the database)',
    'Bucket of an S3-compatible store for what messages say, `s3://bucket/prefix`. Credentials: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the role of the machine.',
  ],
  [
    'BELFRY_OBJECT_STORE_ENDPOINT',
    '(AWS)',
    'Where that store is when it is not AWS, `https://objects.example.com`.',
  ],
  ['BELFRY_OBJECT_STORE_REGION', '(AWS_REGION, or us-east-1)', 'Region of the bucket.'],
  [
    'BELFRY_OBJECT_STORE_MIN_BYTES',
    '2048',
    'Contents of messages from so many bytes on go to the object store, 256 to 1048576.',
  ],
  [
    'BELFRY_OBJECT_STORE_BACKLOG_MB',
    '10240',
    'Megabytes of contents that may wait in the database for the object store, 16 to 1000000; beyond it they stay in the database.',
  ],
  [
    'BELFRY_LOG_STORE',
    '(the database)',
    'ClickHouse that events of messages, runs, deliveries and API logs are shipped to and searched in, `http://user:password@host:8123/database`.',
  ],
  [
    'BELFRY_LOG_STORE_BACKLOG_MB',
    '2048',
    'Megabytes of ids that may wait in the database for the log store, 16 to 1000000; what is more is looked for in the tables later.',
  ],
  [
    'BELFRY_URL',
    '(from BELFRY_HOST and BELFRY_PORT)',
    'Server that the commands of the CLI talk to, `http://127.0.0.1:4400`.',
  ],
  [
    'BELFRY_SECRET_KEY',
    '(from credentials.json)',
    'Secret key of the environment that the CLI triggers and looks at.',
  ],
  ['BELFRY_SERVICE_TOKEN', '(from credentials.json)', 'Service token that the CLI pushes with.'],
  [
    'BELFRY_OPERATOR_TOKEN',
    '(from credentials.json)',
    'Operator token for the keys and accounts of the CLI.',
  ],
] as const satisfies readonly (readonly [name: string, fallback: string, meaning: string])[];

/** `docs/configuration.md`, from the list of variables. */
export function configDocument(): string {
  return [
    '# Configuration',
    '',
    'Everything is set by environment variables; all are optional.',
    '',
    '| variable | default | meaning |',
    '|---|---|---|',
    ...configVariables.map(
      ([name, fallback, meaning]) =>
        `| \`${name}\` | ${fallback.startsWith('(') ? fallback : `\`${fallback}\``} | ${meaning} |`,
    ),
    '',
  ].join('\n');
}
