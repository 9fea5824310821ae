import { Command } from '../shared/copy-button.tsx';
import { PageHeader } from '../shared/page-header.tsx';
import { Filters } from './filters.tsx';
import { MessageList } from './message-list.tsx';
import { MessagePane } from './message-pane.tsx';
import { noFilter, typeNames } from './messages.ts';
import { useFilter, useMessages, useSelectedId } from './use-messages.ts';

/** Every message of this server, as whoever gets it sees it. */
export function App() {
  const [filter, setFilter] = useFilter();
  const messages = useMessages(filter);
  const [hashId, select] = useSelectedId();
  const list = messages?.kind === 'loaded' ? messages.value : [];
  const isFiltered = Object.values(filter).some((value) => value !== '');
  // On a wide screen the newest is read at once; on a narrow one the list comes first.
  const wide = window.matchMedia('(min-width: 60.0625rem)').matches;
  const selectedId = hashId || (wide ? (list[0]?.id ?? '') : '');
  const isEmpty = messages?.kind === 'loaded' && list.length === 0 && !isFiltered && !hashId;

  return (
    <div className="page messages-page">
      <PageHeader place="messages" />
      {messages?.kind === 'failed' ? (
        <main className="no-messages" role="status">
          <h1>No messages to show</h1>
          <p>{messages.message}</p>
          <p>This page looks again every two seconds.</p>
        </main>
      ) : isEmpty ? (
        <NoMessages />
      ) : (
        <main className={selectedId ? 'message-columns reading' : 'message-columns'}>
          <section aria-label="Messages">
            <Filters filter={filter} onChange={setFilter} messages={list} />
            {messages ? (
              <p className="count" role="status">
                {countText(list.length)}
                {isFiltered ? (
                  <button
                    type="button"
                    className="quiet-button"
                    onClick={() => setFilter(noFilter)}
                  >
                    Show all
                  </button>
                ) : null}
              </p>
            ) : null}
            {messages && list.length === 0 ? (
              <p className="none">
                Nothing{filter.type ? ` of the type ${typeNames[filter.type]}` : ''} matches among
                the newest 10,000 messages.
              </p>
            ) : null}
            <MessageList messages={list} selectedId={selectedId} />
          </section>
          {selectedId ? (
            <MessagePane
              key={selectedId}
              id={selectedId}
              status={list.find(({ id }) => id === selectedId)?.status ?? ''}
              onBack={() => select('')}
            />
          ) : null}
        </main>
      )}
    </div>
  );
}

const pageSize = 50;

function countText(count: number): string {
  if (count >= pageSize) return `The newest ${pageSize} messages`;
  return count === 1 ? '1 message' : `${count} messages`;
}

const triggerCommand =
  `npx belfry trigger new-comment --recipient '{"id":"mara","email":"mara@example.com"}'` +
  ` --data '{"comment":"Hello"}'`;

function NoMessages() {
  return (
    <main className="no-messages">
      <h1>No message yet</h1>
      <p>
        Every message comes here as its recipient sees it: e-mails, feed items, text messages, push
        notifications, chat posts and webhooks. What has no provider stays here and goes to nobody.
        This page looks every two seconds, so leave it open and send one.
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
        <li>
          <p>
            Give a workflow a step with the channel <code>sms</code>, <code>push</code> or{' '}
            <code>chat</code>. A text message needs the recipient's <code>phone_number</code>; the
            others need channel data, which you can send along.
          </p>
          <Command>{channelDataExample}</Command>
        </li>
      </ol>
      <p className="hint">
        To send e-mails for real, start the server with{' '}
        <code>BELFRY_SMTP_URL=smtp://user:password@host:587</code>; this page is then off.
      </p>
    </main>
  );
}

const channelDataExample =
  `npx belfry trigger my-workflow --recipient` +
  ` '{"id":"mara","phone_number":"+15550100","channel_data":{"push":{"tokens":["a-token"]}}}'`;
