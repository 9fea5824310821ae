import { Command } from '../shared/copy-button.tsx';
import { PageHeader } from '../shared/page-header.tsx';
import { MailList } from './mail-list.tsx';
import { MailPane } from './mail-pane.tsx';
import { useMails, useSelectedId } from './use-mails.ts';

/** Every e-mail that this server would have sent, had it an SMTP server. */
export function App() {
  const mails = useMails();
  const [hashId, select] = useSelectedId();
  const list = mails?.kind === 'loaded' ? mails.value : [];
  // On a wide screen the newest is read at once; on a narrow one the list comes first.
  const wide = window.matchMedia('(min-width: 60.0625rem)').matches;
  const selectedId = hashId || (wide ? (list[0]?.id ?? '') : '');

  return (
    <div className="page mail-page">
      <PageHeader place="mail" />
      {mails?.kind === 'failed' ? (
        <main className="no-mail" role="status">
          <h1>No e-mails to show</h1>
          <p>{mails.message}</p>
          <p>This page looks again every two seconds.</p>
        </main>
      ) : null}
      {mails?.kind === 'loaded' && list.length === 0 ? <NoMail /> : null}
      {list.length > 0 || hashId ? (
        <main className={selectedId ? 'mail-columns reading' : 'mail-columns'}>
          <section aria-label="E-mails">
            <p className="count" role="status">
              {list.length === 1 ? '1 e-mail' : `${list.length} e-mails`}, kept here and sent to
              nobody
            </p>
            <MailList mails={list} selectedId={selectedId} />
          </section>
          {selectedId ? (
            <MailPane key={selectedId} id={selectedId} onBack={() => select('')} />
          ) : null}
        </main>
      ) : null}
    </div>
  );
}

const triggerCommand =
  `npx belfry trigger new-comment --recipient '{"id":"mara","email":"mara@example.com"}'` +
  ` --data '{"comment":"Hello"}'`;

function NoMail() {
  return (
    <main className="no-mail">
      <h1>No e-mail yet</h1>
      <p>
        Without an SMTP server, e-mails come here instead of going out: you see exactly what a
        recipient would. This page looks every two seconds, so leave it open and send one.
      </p>
      <ol>
        <li>
          <p>Publish the example workflows.</p>
          <Command>npx belfry push examples</Command>
        </li>
        <li>
          <p>
            Send a comment from the <a href="/">demo page</a>, or from the terminal.
          </p>
          <Command>{triggerCommand}</Command>
        </li>
      </ol>
      <p className="hint">
        To send for real, start the server with{' '}
        <code>BELFRY_SMTP_URL=smtp://user:password@host:587</code>.
      </p>
    </main>
  );
}
