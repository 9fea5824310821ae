/** What the test suites that come with Knock's SDKs (`tests/api-resources`, made from the specification) ask for. */

/** The suites' key, which everybody knows. */
export const SUITE_KEY = 'My API Key';

/** The id of every channel and bulk operation that the suites name. */
const ONE_ID = '182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e';
const GUIDE_CHANNEL = '123e4567-e89b-12d3-a456-426614174000';

/** The user to whom the message goes that stands in for the suites' messages. */
export const READER = 'user-123';
export const WORKFLOW = 'key';

export const BULK_OPERATION = ONE_ID;
export const SCHEDULE = {
  id: GUIDE_CHANNEL,
  workflow: 'comment-created',
  collection: 'projects',
  recipient: 'project-123',
};

/** A channel cannot be a feed and for guides at once: the id that is asked for as both is a feed. */
export const CHANNELS = [
  { id: ONE_ID, key: 'sdk-feed', type: 'in_app_feed', provider: 'in_app_feed_knock' },
  { id: GUIDE_CHANNEL, key: 'sdk-guide', type: 'in_app_guide', provider: 'in_app_guide_knock' },
  {
    id: '97c5837d-c65c-4d54-aa39-080eeb81c69d',
    key: 'sdk-push',
    type: 'push',
    provider: 'push_viewer',
  },
  {
    id: 'aef6e715-df82-4ab6-b61e-b743e249f7b6',
    key: 'sdk-email',
    type: 'email',
    provider: 'email_smtp',
  },
  {
    id: '2f641633-95d3-4555-9222-9f1eb7888a80',
    key: 'sdk-sms',
    type: 'sms',
    provider: 'sms_viewer',
  },
  {
    id: 'b6d06f4e-0d6c-4a3a-9d6b-8e1c9e0f5a11',
    key: 'channel_id',
    type: 'chat',
    provider: 'chat_viewer',
  },
] as const;

/** What a push publishes. */
export const PUSH = {
  workflows: [WORKFLOW, 'comment-created', 'dinosaurs-loose'].map((key) => ({
    key,
    content: {
      name: key,
      steps: [
        {
          ref: 'in_app_feed_1',
          type: 'channel',
          channel_key: 'sdk-feed',
          template: { markdown_body: 'A message for the tests of an SDK' },
        },
      ],
    },
  })),
  guides: [
    {
      key: 'tour_notification',
      content: {
        name: 'Tour',
        channel_key: 'sdk-guide',
        steps: [
          {
            ref: 'lab_tours',
            schema_key: 'banner',
            schema_semver: '0.0.1',
            schema_variant_key: 'default',
            values: { title: 'Lab tours', body: 'Two times a day' },
          },
        ],
      },
    },
  ],
};

const tokens = { data: { tokens: ['push_token_1'] } };

/** What is put in place; again changes nothing. Each round has what the next one needs. */
export const ROUNDS: readonly (readonly {
  readonly path: string;
  readonly body: object;
}[])[] = [
  [
    ...['user_id', 'user_1', READER].map((id) => ({
      path: `/v1/users/${id}`,
      body: { name: id, email: `${id}@example.com` },
    })),
    ...['collection/id', 'collection/object_id', 'projects/project-123'].map((object) => ({
      path: `/v1/objects/${object}`,
      body: { name: object },
    })),
    { path: '/v1/tenants/id', body: { name: 'A tenant' } },
    { path: '/v1/audiences/key', body: { kind: 'static', name: 'An audience' } },
  ],
  ['users/user_id', 'objects/collection/object_id'].map((owner) => ({
    path: `/v1/${owner}/channel_data/${ONE_ID}`,
    body: tokens,
  })),
];

/**
 * Ids of the suites that nothing here can have, by the file that asks for them: this server makes the ids of messages
 * and runs itself, and the channel for guides is one that is a feed elsewhere.
 */
export function standInsFor(made: { readonly message: string; readonly run: string }) {
  return {
    'messages/messages.test.ts': {
      '1jNaXzB2RZX3LY8wVQnfCKyPnv7': made.message,
      message_id: made.message,
    },
    'workflow-recipient-runs.test.ts': { id: made.run },
    'users/guides.test.ts': { [ONE_ID]: GUIDE_CHANNEL },
  };
}

export type StandIns = Readonly<Record<string, Readonly<Record<string, string>>>>;
