import { type KeyboardEvent, useId, useRef, useState } from 'react';
import { CopyButton } from '../shared/copy-button.tsx';
import type { Mail } from './mail.ts';
import { formatFull } from './mail-time.ts';
import { useMail } from './use-mails.ts';

/** The reading pane for one e-mail. */
export function MailPane({ id, onBack }: { readonly id: string; readonly onBack: () => void }) {
  const loaded = useMail(id);
  return (
    <article className="mail-pane" aria-label="E-mail">
      <button type="button" className="quiet-button back" onClick={onBack}>
        All e-mails
      </button>
      {loaded?.kind === 'loaded' ? <MailView mail={loaded.value} /> : null}
      {loaded?.kind === 'failed' ? <p className="reason">{loaded.message}</p> : null}
    </article>
  );
}

type View = 'HTML' | 'Text' | 'JSON';
const views: readonly View[] = ['HTML', 'Text', 'JSON'];

function MailView({ mail }: { readonly mail: Mail }) {
  const id = useId();
  const [view, setView] = useState<View>(mail.hasHtml ? 'HTML' : 'Text');
  const tabs = useRef<HTMLDivElement>(null);

  const moveTab = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const index = (views.indexOf(view) + step + views.length) % views.length;
    const next = views[index];
    if (step === 0 || !next) return;
    setView(next);
    const tab = tabs.current?.children[index];
    if (tab instanceof HTMLElement) tab.focus();
  };

  return (
    <>
      <h1>{mail.subject}</h1>
      <dl className="mail-fields">
        <dt>To</dt>
        <dd>
          {mail.to}
          {mail.recipientId ? <span> (recipient {mail.recipientId})</span> : null}
        </dd>
        <dt>From</dt>
        <dd>{mail.from}</dd>
        <dt>At</dt>
        <dd>
          <time dateTime={mail.insertedAt}>{formatFull(mail.insertedAt)}</time>
        </dd>
        {mail.environment ? (
          <>
            <dt>In</dt>
            <dd>{[mail.account, mail.environment].filter(Boolean).join(' / ')}</dd>
          </>
        ) : null}
      </dl>
      <div className="tabs" role="tablist" aria-label="View" ref={tabs} onKeyDown={moveTab}>
        {views.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`${id}${name}`}
            aria-selected={name === view}
            aria-controls={`${id}panel`}
            tabIndex={name === view ? 0 : -1}
            onClick={() => setView(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div className="mail-body" role="tabpanel" id={`${id}panel`} aria-labelledby={`${id}${view}`}>
        <MailBody mail={mail} view={view} />
      </div>
    </>
  );
}

function MailBody({ mail, view }: { readonly mail: Mail; readonly view: View }) {
  switch (view) {
    case 'HTML':
      return mail.hasHtml ? (
        // An e-mail is somebody else's page: no scripts, no access to this one.
        <iframe
          title="HTML body"
          sandbox="allow-popups allow-popups-to-escape-sandbox"
          src={`/dev/mail/${encodeURIComponent(mail.id)}/html`}
        />
      ) : (
        <p className="none">This e-mail has no HTML part.</p>
      );
    case 'Text':
      return mail.textBody ? (
        <pre>{mail.textBody}</pre>
      ) : (
        <p className="none">This e-mail has no text part.</p>
      );
    case 'JSON':
      return (
        <div className="mail-json">
          <CopyButton value={mail.raw} label="JSON" />
          <pre>{mail.raw}</pre>
        </div>
      );
  }
}
