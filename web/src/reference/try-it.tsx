import { useEffect, useId, useRef, useState } from 'react';
import type { KeyKind, Operation, Parameter } from './api-document.ts';
import { callOf, curlOf, exampleText, type Filled, filledFromExample, sdkOf } from './call.ts';
import { CodeBlock } from './code-block.tsx';
import { keyNames, keyPrefixes } from './key-names.ts';
import { type Sent, send } from './send.ts';
import { type Keys, USER_TOKEN } from './use-keys.ts';

type TryProps = {
  readonly operation: Operation;
  readonly keys: Keys;
  readonly onKey: (kind: KeyKind, key: string) => void;
  readonly onForget: () => void;
};

/** So many optional parameters need not be put away. */
const FEW = 2;

/** A form that sends the operation to this server, and the same call in code. Keyed by operation. */
export function TryIt({ operation, keys, onKey, onForget }: TryProps) {
  const [filled, setFilled] = useState<Filled>(() => filledFromExample(operation));
  const [kind, setKind] = useState<KeyKind>(() => firstKnown(operation.keys, keys));
  const [sent, setSent] = useState<Sent>();
  const [sending, setSending] = useState<AbortController>();
  const id = useId();
  const call = callOf(operation, filled);
  const { origin } = window.location;

  useEffect(() => () => sending?.abort(), [sending]);

  const submit = async () => {
    const controller = new AbortController();
    setSending(controller);
    const key = operation.keys.length === 0 ? '' : (keys[kind] ?? '');
    const userToken = kind === 'publicKey' ? (keys[USER_TOKEN] ?? '') : '';
    const answer = await send(call, { key, userToken }, controller.signal);
    setSent(answer);
    setSending(undefined);
  };

  const setValue = (name: string, value: string) =>
    setFilled({ ...filled, values: { ...filled.values, [name]: value } });

  const fieldOf = (parameter: Parameter) => (
    <ParameterField
      key={parameter.name}
      parameter={parameter}
      value={filled.values[parameter.name] ?? ''}
      onChange={(value) => setValue(parameter.name, value)}
    />
  );
  const required = operation.parameters.filter(({ isRequired }) => isRequired);
  const optional = operation.parameters.filter(({ isRequired }) => !isRequired);

  return (
    <section className="try" aria-labelledby={`${id}title`}>
      <h2 id={`${id}title`}>Try it</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        {operation.keys.length > 0 ? (
          <KeyFields
            kinds={operation.keys}
            kind={kind}
            keys={keys}
            onKind={setKind}
            onKey={onKey}
            onForget={onForget}
          />
        ) : null}
        {required.map(fieldOf)}
        {operation.body ? (
          <BodyField
            body={filled.body}
            onChange={(body) => setFilled({ ...filled, body })}
            onReset={() => setFilled({ ...filled, body: filledFromExample(operation).body })}
          />
        ) : null}
        {optional.length > 0 ? (
          <details className="optional" open={optional.length <= FEW}>
            <summary>{optional.length} optional</summary>
            {optional.map(fieldOf)}
          </details>
        ) : null}
        <div className="send">
          <button type="submit" className="send-button" disabled={sending !== undefined}>
            Send
          </button>
          {sending ? (
            <button type="button" className="quiet-button" onClick={() => sending.abort()}>
              Stop
            </button>
          ) : null}
          <span className="send-to">
            {call.method} {decodedPath(call.path)}
          </span>
        </div>
      </form>
      <Result sent={sent} />
      <h3>The same in code</h3>
      <CodeBlock label="curl" code={curlOf(call, origin, operation.keys.length > 0)} />
      <CodeBlock
        label={operation.sdk ? `Node SDK: ${operation.sdk.method}` : 'Node SDK: by path'}
        code={sdkOf(operation, filled, origin)}
      />
    </section>
  );
}

/** The first kind that the reader has typed a key of. */
function firstKnown(kinds: readonly KeyKind[], keys: Keys): KeyKind {
  return kinds.find((kind) => keys[kind]) ?? kinds[0] ?? '';
}

type KeyFieldsProps = Omit<TryProps, 'operation'> & {
  readonly kinds: readonly KeyKind[];
  readonly kind: KeyKind;
  readonly onKind: (kind: KeyKind) => void;
};

function KeyFields({ kinds, kind, keys, onKind, onKey, onForget }: KeyFieldsProps) {
  const id = useId();
  const prefix = keyPrefixes[kind] ?? '';
  return (
    <fieldset className="keys">
      <legend>Key</legend>
      {kinds.length > 1 ? (
        <label>
          <span className="unseen">Kind of key</span>
          <select value={kind} onChange={({ target }) => onKind(target.value)}>
            {kinds.map((each) => (
              <option key={each} value={each}>
                With {keyNames[each] ?? each}
              </option>
            ))}
          </select>
        </label>
      ) : null}
      <label>
        <span className="unseen">{`Key: ${keyNames[kind] ?? kind}`}</span>
        <input
          type="password"
          autoComplete="off"
          spellCheck={false}
          placeholder={`${prefix}…`}
          aria-describedby={`${id}note`}
          value={keys[kind] ?? ''}
          onChange={({ target }) => onKey(kind, target.value.trim())}
        />
      </label>
      {kind === 'publicKey' ? (
        <label>
          <span>User token, with enhanced security</span>
          <input
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="eyJ…"
            value={keys[USER_TOKEN] ?? ''}
            onChange={({ target }) => onKey(USER_TOKEN, target.value.trim())}
          />
        </label>
      ) : null}
      <p className="hint" id={`${id}note`}>
        Stays in this tab until you close it. The keys of the first start are in{' '}
        <code>.belfry/credentials.json</code>.{' '}
        {Object.values(keys).some((key) => key !== '') ? (
          <button type="button" className="quiet-button" onClick={onForget}>
            Forget all keys
          </button>
        ) : null}
      </p>
    </fieldset>
  );
}

type ParameterProps = {
  readonly parameter: Parameter;
  readonly value: string;
  readonly onChange: (value: string) => void;
};

function ParameterField({ parameter, value, onChange }: ParameterProps) {
  const id = useId();
  const { name, schema, isRequired } = parameter;
  const choices = Array.isArray(schema.enum)
    ? schema.enum.map(String)
    : schema.type === 'boolean'
      ? ['true', 'false']
      : [];
  const example = exampleText(parameter);
  return (
    <div className="parameter">
      <label htmlFor={id}>
        <code>{name}</code>
        {isRequired ? ' (required)' : ''}
      </label>
      {choices.length > 0 ? (
        <select id={id} value={value} onChange={({ target }) => onChange(target.value)}>
          {isRequired ? null : <option value="">not sent</option>}
          {choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          type="text"
          autoComplete="off"
          spellCheck={false}
          required={isRequired}
          placeholder={example === '' ? '' : `such as ${example}`}
          value={value}
          onChange={({ target }) => onChange(target.value)}
        />
      )}
    </div>
  );
}

type BodyProps = {
  readonly body: string;
  readonly onChange: (body: string) => void;
  readonly onReset: () => void;
};

function BodyField({ body, onChange, onReset }: BodyProps) {
  const id = useId();
  const problem = problemOf(body);
  return (
    <div className="parameter">
      <div className="body-head">
        <label htmlFor={`${id}body`}>Body, as JSON</label>
        <button type="button" className="quiet-button" onClick={onReset}>
          Example
        </button>
      </div>
      <textarea
        id={`${id}body`}
        rows={Math.min(18, Math.max(4, body.split('\n').length))}
        spellCheck={false}
        value={body}
        aria-invalid={problem !== ''}
        aria-describedby={`${id}problem`}
        onChange={({ target }) => onChange(target.value)}
      />
      <p className="problem" id={`${id}problem`} role="status">
        {problem}
      </p>
    </div>
  );
}

function problemOf(body: string): string {
  if (body.trim() === '') return '';
  try {
    JSON.parse(body);
    return '';
  } catch (error) {
    return `Not JSON yet: ${error instanceof Error ? error.message : ''}`;
  }
}

function Result({ sent }: { readonly sent: Sent | undefined }) {
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (sent) title.current?.scrollIntoView({ block: 'nearest' });
  }, [sent]);
  return (
    <div className="result" aria-live="polite">
      {sent?.kind === 'failed' ? <p className="problem">{sent.message}</p> : null}
      {sent?.kind === 'answered' ? (
        <>
          <h3 ref={title} className={sent.status < 400 ? 'good' : 'bad'}>
            {sent.status} {sent.statusText}
            <span className="took"> in {Math.round(sent.milliseconds)} ms</span>
          </h3>
          <details>
            <summary>{sent.headers.length} headers</summary>
            <dl className="headers">
              {sent.headers.map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </details>
          {sent.body === '' ? (
            <p className="hint">No body.</p>
          ) : (
            <CodeBlock label="answer" code={sent.body} />
          )}
          {sent.left > 0 ? (
            <p className="hint">{sent.left} more characters are not shown.</p>
          ) : null}
        </>
      ) : null}
    </div>
  );
}

function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
