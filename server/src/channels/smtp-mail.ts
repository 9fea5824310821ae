import type { SendMailOptions } from 'nodemailer';
import { type EmailAddress, emailAddresses, singleEmailAddress } from '../lib/email-address.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { DeliveryOutcome, OutgoingMessage } from './provider.ts';

export type SmtpMail = { readonly to: string; readonly mail: SendMailOptions };

const MAX_COPIES = 50;
const MAX_HEADERS = 50;
const OWN_HEADER = /^x-[a-z0-9-]{1,75}$/i;
const LONGEST_SUBJECT = 2_000;

/** The mail of an e-mail step's content, or the outcome that says why there is none. */
export function smtpMail(
  message: OutgoingMessage,
  mailFrom: EmailAddress,
): SmtpMail | DeliveryOutcome {
  const { content } = message;
  const to = singleEmailAddress(text(content.to));
  if (to === undefined) {
    const reason = `"${text(content.to).slice(0, 300)}" is not one e-mail address`;
    return { kind: 'bounced', code: 'email_address_invalid', detail: { reason } };
  }
  const fromText = text(content.from);
  const from = fromText === '' ? mailFrom : singleEmailAddress(fromText);
  if (from === undefined) return unusable('from', fromText);
  const lists: Record<'cc' | 'bcc' | 'replyTo', EmailAddress[]> = { cc: [], bcc: [], replyTo: [] };
  for (const [name, field] of [
    ['cc', 'cc'],
    ['bcc', 'bcc'],
    ['replyTo', 'reply_to'],
  ] as const) {
    const addresses = emailAddresses(text(content[field]));
    if (addresses === undefined || addresses.length > MAX_COPIES) {
      return unusable(field, text(content[field]));
    }
    lists[name] = [...addresses];
  }
  const html = text(content.html_body);
  const fromName = oneLine(text(content.from_name)) || from.name;
  return {
    to: to.address,
    mail: {
      from: { name: fromName, address: from.address },
      to: { name: to.name, address: to.address },
      ...lists,
      subject: oneLine(text(content.subject)).slice(0, LONGEST_SUBJECT),
      text: text(content.text_body),
      ...(html === '' ? {} : { html }),
      ...attached(content.attachments),
      // The same for every attempt, so that a mail sent twice can be seen as one.
      messageId: `<${message.id}@${from.address.slice(from.address.indexOf('@') + 1)}>`,
      headers: {
        ...ownHeaders(content),
        'X-Belfry-Message-Id': message.id,
        ...unsubscribeHeaders(content),
      },
      // Content is text that others wrote: it must not make us read files or fetch URLs.
      disableFileAccess: true,
      disableUrlAccess: true,
    },
  };
}

/** The `headers` of the step's overrides; SMTP has no other request to override. Those that mean more are dropped. */
function ownHeaders({ overrides }: JsonObject): Record<string, string> {
  const headers = isJsonObject(overrides) ? overrides.headers : undefined;
  if (!isJsonObject(headers)) return {};
  return Object.fromEntries(
    Object.entries(headers)
      .slice(0, MAX_HEADERS)
      .flatMap(([name, value]) =>
        OWN_HEADER.test(name) && typeof value === 'string' ? [[name, oneLine(value)]] : [],
      ),
  );
}

/** What mail programs make a button of: RFC 2369, and RFC 8058 for one click. */
function unsubscribeHeaders({ unsubscribe_url: url }: JsonObject): Record<string, string> {
  if (typeof url !== 'string' || !/^https?:\/\/[^\s<>]+$/.test(url)) return {};
  return {
    'List-Unsubscribe': `<${url}>`,
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  };
}

/** Files with their content; what only says that there are files has none. */
function attached(files: Json | undefined): Pick<SendMailOptions, 'attachments'> {
  if (!Array.isArray(files)) return {};
  return {
    attachments: files.filter(isJsonObject).map((file: JsonObject) => {
      const cid = text(file.content_id);
      return {
        filename: text(file.name),
        contentType: text(file.content_type),
        content: Buffer.from(text(file.content), 'base64'),
        ...(cid === '' ? {} : { cid, contentDisposition: 'inline' as const }),
      };
    }),
  };
}

function unusable(field: string, value: string): DeliveryOutcome {
  const reason = `${field} is "${value.slice(0, 300)}", which is no usable e-mail address`;
  return { kind: 'rejected', code: 'email_invalid', detail: { reason } };
}

/** Line breaks end a header; in one they become spaces. */
function oneLine(value: string): string {
  return value.replace(/[\r\n\0]+/g, ' ').trim();
}

function text(value: Json | undefined): string {
  if (Array.isArray(value)) return value.map(text).filter(Boolean).join(', ');
  return typeof value === 'string' ? value : '';
}
