import './previews.css';
import { isRecord, type JsonRecord, text } from '../shared/json.ts';
import { Mark } from '../shared/page-header.tsx';
import { formatTime } from './message-time.ts';
import type { Message } from './messages.ts';
import { smsLength } from './sms-length.ts';

type PreviewProps = { readonly message: Message };

/** A text message as a phone shows it, and what it would cost. */
export function SmsBubble({ message }: PreviewProps) {
  const body = text(message.content.body);
  const { characters, segments, alphabet } = smsLength(body);
  return (
    <figure className="stage">
      <div className="phone">
        <p className="phone-title">{message.to}</p>
        <p className="phone-time">{formatTime(message.insertedAt)}</p>
        <p className="bubble">{body}</p>
      </div>
      <figcaption>
        {characters} characters of {alphabet},{' '}
        {segments === 1 ? '1 segment' : `${segments} segments`}
      </figcaption>
    </figure>
  );
}

/** A push notification as it lies on a locked phone. */
export function PushCard({ message }: PreviewProps) {
  const { content } = message;
  const payload = isRecord(content.overrides) ? content.overrides : undefined;
  return (
    <figure className="stage">
      <div className="phone locked">
        <p className="lock-time">{formatTime(message.insertedAt)}</p>
        {content.silent === true ? (
          <p className="silent">Silent: the phone shows nothing, the app is given the data.</p>
        ) : (
          <div className="push-card">
            <Mark />
            <div>
              <p className="push-head">
                <strong>{text(content.title)}</strong>
                <span>now</span>
              </p>
              <p className="push-text">{text(content.body)}</p>
            </div>
          </div>
        )}
      </div>
      {payload ? <Json title="Merged into what the provider is sent" value={payload} /> : null}
    </figure>
  );
}

/** A post as a chat shows it. */
export function ChatPost({ message }: PreviewProps) {
  const { content } = message;
  return (
    <figure className="stage">
      <div className="chat">
        <p className="chat-place"># {message.to}</p>
        <div className="post">
          <Mark />
          <div>
            <p className="post-head">
              <strong>{message.account || 'Belfry'}</strong> <span className="app-tag">app</span>{' '}
              <time dateTime={message.insertedAt}>{formatTime(message.insertedAt)}</time>
            </p>
            {isRecord(content.json) ? (
              <pre>{JSON.stringify(content.json, null, 2)}</pre>
            ) : (
              <Markdown html={message.html} />
            )}
          </div>
        </div>
      </div>
      {text(content.summary) ? <figcaption>Summary: {text(content.summary)}</figcaption> : null}
    </figure>
  );
}

/** An item as an in-app feed shows it. */
export function FeedCell({ message }: PreviewProps) {
  const body = message.blocks.find(({ name }) => name === 'body');
  const action = message.blocks.find(({ name }) => name === 'action_url');
  const buttons = message.blocks.flatMap((block) =>
    Array.isArray(block.buttons) ? block.buttons.filter(isRecord) : [],
  );
  return (
    <figure className="stage">
      <div className="feed-cell">
        <span className="unread" aria-hidden="true" />
        <div>
          <Markdown html={text(body?.rendered)} />
          <p className="cell-time">
            <time dateTime={message.insertedAt}>{formatTime(message.insertedAt)}</time>
          </p>
          {buttons.length > 0 ? (
            <p className="cell-buttons">
              {buttons.map((button: JsonRecord) => (
                <a key={text(button.label)} href={text(button.action) || undefined}>
                  {text(button.label)}
                </a>
              ))}
            </p>
          ) : null}
        </div>
      </div>
      {text(action?.rendered) ? <figcaption>Opens {text(action?.rendered)}</figcaption> : null}
    </figure>
  );
}

/** A webhook as it goes over the wire, without what signs it. */
export function WebhookRequest({ message }: PreviewProps) {
  const { content } = message;
  const method = text(content.method).toUpperCase() || 'POST';
  const body = text(content.body);
  return (
    <figure className="stage request">
      <p className="request-line">
        <strong>{method}</strong> <span>{text(content.url)}</span>
      </p>
      <Pairs title="Query" value={content.query_params} />
      <Pairs title="Headers" value={content.headers} />
      {body ? (
        <section>
          <h2>Body</h2>
          <pre>{pretty(body)}</pre>
        </section>
      ) : (
        <figcaption>No body</figcaption>
      )}
    </figure>
  );
}

function Pairs({ title, value }: { readonly title: string; readonly value: unknown }) {
  const pairs = Array.isArray(value) ? value.filter(isRecord) : [];
  if (pairs.length === 0) return null;
  return (
    <section>
      <h2>{title}</h2>
      <dl>
        {pairs.map((pair) => (
          <div key={`${text(pair.key)} ${text(pair.value)}`}>
            <dt>{text(pair.key)}</dt>
            <dd>{text(pair.value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Json({ title, value }: { readonly title: string; readonly value: JsonRecord }) {
  return (
    <section className="payload">
      <h2>{title}</h2>
      <pre>{JSON.stringify(value, null, 2)}</pre>
    </section>
  );
}

/** The server made it from markdown and lets nothing through that is not text, links or their likes. */
function Markdown({ html }: { readonly html: string }) {
  // biome-ignore lint/security/noDangerouslySetInnerHtml: see above; the page's policy runs no script of it either
  return <div className="markdown" dangerouslySetInnerHTML={{ __html: html }} />;
}

function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
