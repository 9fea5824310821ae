import type { TriggerData } from './demo-config.ts';

/** What the form knows about the workflows in `examples/`. */
export type Example = {
  readonly key: string;
  readonly label: string;
  readonly does: string;
  readonly sendsEmail: boolean;
  readonly textLabel: string;
  readonly text: string;
  /** Asks for the address of a webhook, too. */
  readonly asksWebhook: boolean;
  readonly data: (text: string, webhookUrl: string) => TriggerData;
};

export const examples: readonly Example[] = [
  {
    key: 'new-comment',
    label: 'New comment',
    does: 'In the app, and by e-mail',
    sendsEmail: true,
    textLabel: 'Comment',
    text: 'The second chart is lovely. Shall we open with it?',
    asksWebhook: false,
    data: (text) => ({
      comment: text,
      page: 'Roadmap',
      page_url: `${window.location.origin}/#roadmap`,
    }),
  },
  {
    key: 'reminder',
    label: 'Reminder',
    does: 'Waits five seconds, then rings',
    sendsEmail: false,
    textLabel: 'Task',
    text: 'Send the agenda before lunch.',
    asksWebhook: false,
    data: (text) => ({ task: text, remind_in: { unit: 'seconds', value: 5 } }),
  },
  {
    key: 'incident-alert',
    label: 'Incident alert',
    does: 'In the app, and to a webhook',
    sendsEmail: false,
    textLabel: 'Incident',
    text: 'Checkout answers slowly in eu-west.',
    asksWebhook: true,
    data: (text, webhookUrl) => ({
      title: text,
      severity: 'major',
      service: 'checkout',
      ...(webhookUrl && { webhook_url: webhookUrl }),
    }),
  },
];

export const people: readonly string[] = ['Ines Okafor', 'Tomas Lind', 'Priya Raman'];
