import { isRecord, requestJson, text } from '../shared/json.ts';

export type MailSummary = {
  readonly id: string;
  readonly to: string;
  readonly from: string;
  readonly subject: string;
  readonly insertedAt: string;
  readonly account: string;
  readonly environment: string;
  readonly recipientId: string;
};

export type Mail = MailSummary & {
  readonly textBody: string;
  readonly hasHtml: boolean;
  /** The whole answer of the server, for the JSON view. */
  readonly raw: string;
};

export type Loaded<T> =
  | { readonly kind: 'loaded'; readonly value: T }
  | { readonly kind: 'failed'; readonly message: string };

/** The newest e-mails that the server kept instead of sending. */
export async function loadMails(): Promise<Loaded<readonly MailSummary[]>> {
  const answer = await requestJson('/dev/mail.json');
  if (answer.kind === 'failed') return { kind: 'failed', message: answer.message };
  const entries = answer.body.entries;
  return {
    kind: 'loaded',
    value: Array.isArray(entries) ? entries.filter(isRecord).map(summary) : [],
  };
}

/** One e-mail with its bodies. */
export async function loadMail(id: string): Promise<Loaded<Mail>> {
  const answer = await requestJson(`/dev/mail/${encodeURIComponent(id)}.json`);
  if (answer.kind === 'failed') return { kind: 'failed', message: answer.message };
  return {
    kind: 'loaded',
    value: {
      ...summary(answer.body),
      textBody: text(answer.body.text_body),
      hasHtml: text(answer.body.html_body) !== '',
      raw: JSON.stringify(answer.body, null, 2),
    },
  };
}

function summary(body: { readonly [key: string]: unknown }): MailSummary {
  return {
    id: text(body.id),
    to: text(body.to),
    from: text(body.from),
    subject: text(body.subject) || '(no subject)',
    insertedAt: text(body.inserted_at),
    account: text(body.account),
    environment: text(body.environment),
    recipientId: text(body.recipient_id),
  };
}
