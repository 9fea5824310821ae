import type { MailSummary } from './mail.ts';
import { formatFull, formatShort } from './mail-time.ts';

type MailListProps = {
  readonly mails: readonly MailSummary[];
  readonly selectedId: string;
};

/** Who got what and when, newest first. Each entry is a link, so the keyboard just works. */
export function MailList({ mails, selectedId }: MailListProps) {
  const now = new Date();
  return (
    <ol className="mail-list">
      {mails.map((mail) => (
        <li key={mail.id}>
          <a href={`#${mail.id}`} aria-current={mail.id === selectedId ? 'true' : undefined}>
            <span className="mail-to">{mail.to}</span>
            <time dateTime={mail.insertedAt} title={formatFull(mail.insertedAt)}>
              {formatShort(mail.insertedAt, now)}
            </time>
            <span className="mail-subject">{mail.subject}</span>
            <span className="mail-from">from {mail.from}</span>
          </a>
        </li>
      ))}
    </ol>
  );
}
