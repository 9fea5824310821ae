import { useEffect, useRef } from 'react';
import type { JsonRecord } from '../shared/json.ts';
import type { ApiError, Operation, Parameter, Shown } from './api-document.ts';
import { CodeBlock } from './code-block.tsx';
import { keyNames } from './key-names.ts';
import { Method } from './operation-list.tsx';
import { Inline, Prose } from './prose.tsx';
import { SchemaView, typeName } from './schema-view.tsx';

type PaneProps = {
  readonly operation: Operation;
  readonly schemas: JsonRecord;
};

/** Everything there is to know about one operation. */
export function OperationPane({ operation, schemas }: PaneProps) {
  const { id, method, path, summary, description, isDeprecated, keys, body } = operation;
  const title = useRef<HTMLHeadingElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another operation is read from its title on
  useEffect(() => title.current?.focus(), [id]);

  return (
    <article className="operation" aria-labelledby="operation-title">
      <div className="narrow-links">
        <a href="#all">All operations</a>
        <button type="button" className="quiet-button" onClick={showTry}>
          Try it
        </button>
      </div>
      <h1 id="operation-title" ref={title} tabIndex={-1}>
        <Inline>{summary}</Inline>
      </h1>
      <p className="endpoint">
        <Method name={method} />
        <code>{path}</code>
      </p>
      {isDeprecated ? <p className="notice">Deprecated: kept for clients that call it.</p> : null}
      <Prose>{description}</Prose>
      <p className="opened-by">
        {keys.length === 0
          ? 'Open to everybody.'
          : `Opened by ${keys.map((kind) => keyNames[kind] ?? kind).join(' or ')}.`}
      </p>
      <Parameters operation={operation} schemas={schemas} />
      {body?.schema ? (
        <section aria-labelledby="body-title">
          <h2 id="body-title">Body</h2>
          <SchemaView schema={body.schema} schemas={schemas} />
        </section>
      ) : null}
      {operation.answers.map((answer) => (
        <Answer key={answer.status} answer={answer} schemas={schemas} />
      ))}
      <Errors errors={operation.errors} />
    </article>
  );
}

function showTry(): void {
  document.querySelector('.try')?.scrollIntoView();
}

const places: readonly (readonly [Parameter['in'], string])[] = [
  ['path', 'In the path'],
  ['query', 'In the query'],
  ['header', 'In the headers'],
];

function Parameters({ operation, schemas }: PaneProps) {
  return places.map(([place, title]) => {
    const parameters = operation.parameters.filter((each) => each.in === place);
    if (parameters.length === 0) return null;
    return (
      <section key={place} aria-labelledby={`${place}-title`}>
        <h2 id={`${place}-title`}>{title}</h2>
        <ul className="fields">
          {parameters.map(({ name, schema, isRequired, description }) => (
            <li key={name}>
              <div className="field-head">
                <code className="field-name">{name}</code>
                <span className="field-type">{typeName(schema, schemas)}</span>
                {isRequired ? <span className="field-required">required</span> : null}
              </div>
              {description ? (
                <p>
                  <Inline>{description}</Inline>
                </p>
              ) : null}
            </li>
          ))}
        </ul>
      </section>
    );
  });
}

function Answer({ answer, schemas }: { readonly answer: Shown; readonly schemas: JsonRecord }) {
  const { status, description, type, schema, example } = answer;
  const title = `answer-${status}`;
  return (
    <section aria-labelledby={title}>
      <h2 id={title}>
        Answer <span className="status-code">{status}</span>
      </h2>
      {description ? <Prose>{description}</Prose> : null}
      {schema ? (
        <>
          <CodeBlock
            label={`example of the answer, ${type ?? ''}`}
            code={typeof example === 'string' ? example : JSON.stringify(example, null, 2)}
          />
          {type === 'application/json' ? <SchemaView schema={schema} schemas={schemas} /> : null}
        </>
      ) : null}
    </section>
  );
}

function Errors({ errors }: { readonly errors: readonly ApiError[] }) {
  return (
    <section aria-labelledby="errors-title">
      <h2 id="errors-title">Errors</h2>
      <ul className="fields">
        {errors.map(({ status, code, meaning }) => (
          <li key={code}>
            <div className="field-head">
              <span className="status-code">{status}</span>
              <code className="field-name">{code}</code>
            </div>
            <p>
              <Inline>{meaning}</Inline>
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
