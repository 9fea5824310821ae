import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { CopyButton } from '../shared/copy-button.tsx';
import { isRecord, text } from '../shared/json.ts';
import { statusText } from './message-list.tsx';
import { formatFull } from './message-time.ts';
import { type Message, typeNames } from './messages.ts';
import { ChatPost, FeedCell, PushCard, SmsBubble, WebhookRequest } from './previews.tsx';
import { useMessage } from './use-messages.ts';

type MessagePaneProps = {
  readonly id: string;
  /** As the list has it: when it changes, the message is read again. */
  readonly status: string;
  readonly onBack: () => void;
};

/** The reading pane for one message. */
export function MessagePane({ id, status, onBack }: MessagePaneProps) {
  const loaded = useMessage(id, status);
  const back = useRef<HTMLButtonElement>(null);
  // Where the pane takes the place of the list, which had the focus.
  useEffect(() => {
    if (back.current?.offsetParent) back.current.focus({ preventScroll: true });
  }, []);
  return (
    <article className="message-pane" aria-label="Message">
      <button ref={back} type="button" className="quiet-button back" onClick={onBack}>
        All messages
      </button>
      {loaded?.kind === 'loaded' ? <MessageView message={loaded.value} /> : null}
      {loaded?.kind === 'failed' ? <p className="reason">{loaded.message}</p> : null}
    </article>
  );
}

type View = { readonly name: string; readonly show: () => ReactNode };

function MessageView({ message }: { readonly message: Message }) {
  const id = useId();
  const views = viewsOf(message);
  const [name, setName] = useState(views[0]?.name);
  const tabs = useRef<HTMLDivElement>(null);
  const index = Math.max(
    0,
    views.findIndex((view) => view.name === name),
  );

  const moveTab = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const to = (index + step + views.length) % views.length;
    const next = views[to];
    if (step === 0 || !next) return;
    setName(next.name);
    const tab = tabs.current?.children[to];
    if (tab instanceof HTMLElement) tab.focus();
  };

  return (
    <>
      <h1>{message.type === 'email' ? message.title : typeNames[message.type]}</h1>
      <Fields message={message} />
      <div className="tabs" role="tablist" aria-label="View" ref={tabs} onKeyDown={moveTab}>
        {views.map((view, i) => (
          <button
            key={view.name}
            type="button"
            role="tab"
            id={`${id}${view.name}`}
            aria-selected={i === index}
            aria-controls={`${id}panel`}
            tabIndex={i === index ? 0 : -1}
            onClick={() => setName(view.name)}
          >
            {view.name}
          </button>
        ))}
      </div>
      <div
        className="message-body"
        role="tabpanel"
        id={`${id}panel`}
        aria-labelledby={`${id}${views[index]?.name}`}
      >
        {views[index]?.show()}
      </div>
    </>
  );
}

function Fields({ message }: { readonly message: Message }) {
  const { content, to, recipientId, scheduledAt } = message;
  return (
    <dl className="message-fields">
      <Field name="To">
        {to} {to === recipientId ? null : <span>(recipient {recipientId})</span>}
      </Field>
      <Field name="From">{message.from}</Field>
      <Field name="Cc">{text(content.cc)}</Field>
      <Field name="Bcc">{text(content.bcc)}</Field>
      <Field name="Reply to">{text(content.reply_to)}</Field>
      <Field name="Files">{filesText(content.attachments)}</Field>
      <Field name="Token">{text(content.token)}</Field>
      <Field name="At">
        <time dateTime={message.insertedAt}>{formatFull(message.insertedAt)}</time>
      </Field>
      <Field name="Not before">
        {scheduledAt ? (
          <>
            <time dateTime={scheduledAt}>{formatFull(scheduledAt)}</time> <span>(send window)</span>
          </>
        ) : null}
      </Field>
      <Field name="Status">
        {statusText(message)} <span>by {message.channel || 'a channel that is gone'}</span>
      </Field>
      <Field name="Workflow">
        {message.workflow} <span>step {message.step}</span>
      </Field>
      <Field name="In">{[message.account, message.environment].filter(Boolean).join(' / ')}</Field>
    </dl>
  );
}

/** `a.pdf (12 kB), b.png (3 kB)` */
function filesText(attachments: unknown): string {
  const files = isRecord(attachments) && Array.isArray(attachments.files) ? attachments.files : [];
  return files
    .filter(isRecord)
    .map(({ name, size }) => `${text(name)} (${sizeText(Number(size))})`)
    .join(', ');
}

function sizeText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`;
  return bytes < 1_000_000
    ? `${Math.round(bytes / 1_000)} kB`
    : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** Nothing where there is nothing to say. */
function Field({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  if (!children) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function viewsOf(message: Message): readonly View[] {
  const json = {
    name: 'JSON',
    show: () => (
      <div className="message-json">
        <CopyButton value={message.raw} label="JSON" />
        <pre>{message.raw}</pre>
      </div>
    ),
  };
  if (message.type !== 'email') return [{ name: 'Preview', show: () => preview(message) }, json];
  const html = {
    name: 'HTML',
    show: () => (
      // An e-mail is somebody else's page: no scripts, no access to this one.
      <iframe
        title="HTML body"
        sandbox="allow-popups allow-popups-to-escape-sandbox"
        src={`/dev/messages/${encodeURIComponent(message.id)}/html`}
      />
    ),
  };
  const body = text(message.content.text_body);
  const plain = {
    name: 'Text',
    show: () => (body ? <pre>{body}</pre> : <p className="none">This e-mail has no text part.</p>),
  };
  return text(message.content.html_body) ? [html, plain, json] : [plain, json];
}

function preview(message: Message): ReactNode {
  switch (message.type) {
    case 'sms':
      return <SmsBubble message={message} />;
    case 'push':
      return <PushCard message={message} />;
    case 'chat':
      return <ChatPost message={message} />;
    case 'in_app_feed':
      return <FeedCell message={message} />;
    default:
      return <WebhookRequest message={message} />;
  }
}
