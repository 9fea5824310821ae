import { type KeyboardEvent, useEffect, useRef } from 'react';
import { formatFull, formatShort } from './message-time.ts';
import { type MessageSummary, typeNames } from './messages.ts';

type MessageListProps = {
  readonly messages: readonly MessageSummary[];
  readonly selectedId: string;
};

/** Who got what and when, newest first. Each entry is a link; the arrow keys go from one to the next. */
export function MessageList({ messages, selectedId }: MessageListProps) {
  const now = new Date();
  const list = useRef<HTMLOListElement>(null);
  const before = useRef('');
  // What is read is in sight; who comes back to the list on a narrow screen is where they were.
  const isLoaded = messages.length > 0;
  useEffect(() => {
    if (!isLoaded) return;
    const id = selectedId || before.current;
    const links = list.current?.querySelectorAll('a') ?? [];
    const link = [...links].find(({ hash }) => hash === `#${id}`);
    if (selectedId) link?.scrollIntoView({ block: 'nearest' });
    else link?.focus();
    before.current = selectedId;
  }, [isLoaded, selectedId]);
  return (
    <ol className="message-list" onKeyDown={moveFocus} ref={list}>
      {messages.map((message) => (
        <li key={message.id}>
          <a href={`#${message.id}`} aria-current={message.id === selectedId ? 'true' : undefined}>
            <span className="message-to">{message.to}</span>
            <time dateTime={message.insertedAt} title={formatFull(message.insertedAt)}>
              {formatShort(message.insertedAt, now)}
            </time>
            <span className="message-title">{message.title}</span>
            <span className="message-source">
              <span className="kind">{typeNames[message.type]}</span>
              {message.workflow}
            </span>
            <span className={`status ${message.status}`}>{statusText(message)}</span>
          </a>
        </li>
      ))}
    </ol>
  );
}

/** `waits` for what its send window holds back. */
export function statusText({ status, scheduledAt }: MessageSummary): string {
  if (status === 'queued' && scheduledAt) return 'waits';
  return status.replaceAll('_', ' ');
}

function moveFocus(event: KeyboardEvent<HTMLOListElement>): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0) return;
  const links = [...event.currentTarget.querySelectorAll('a')];
  const next = links[links.findIndex((link) => link.matches(':focus')) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
  if (window.matchMedia('(min-width: 60.0625rem)').matches) next.click();
}
