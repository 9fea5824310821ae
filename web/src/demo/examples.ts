/** What the form knows about the workflows in `examples/`. */
export type Example = {
  readonly key: string;
  readonly label: string;
  readonly does: string;
  readonly sendsEmail: boolean;
  readonly textLabel: string;
  readonly text: string;
  readonly data: (text: string) => Readonly<Record<string, string>>;
};

export const examples: readonly Example[] = [
  {
    key: 'new-comment',
    label: 'New comment',
    does: 'In the app at once, and an e-mail',
    sendsEmail: true,
    textLabel: 'Comment',
    text: 'The second chart is lovely. Shall we open with it?',
    data: (text) => ({ comment: text }),
  },
  {
    key: 'reminder',
    label: 'Reminder',
    does: 'Waits first, then rings',
    sendsEmail: false,
    textLabel: 'What to remember',
    text: 'Send the agenda before lunch.',
    data: (text) => ({ task: text }),
  },
  {
    key: 'incident-alert',
    label: 'Incident alert',
    does: 'In the app, and a webhook',
    sendsEmail: false,
    textLabel: 'Incident',
    text: 'Checkout answers slowly in eu-west.',
    data: (text) => ({ title: text }),
  },
];

export const people: readonly string[] = ['Ines Okafor', 'Tomas Lind', 'Priya Raman'];
