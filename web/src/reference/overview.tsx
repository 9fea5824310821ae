import type { ApiDocument } from './api-document.ts';
import { keyNames } from './key-names.ts';
import { Inline, Prose } from './prose.tsx';

/** What holds for every operation. */
export function Overview({ api }: { readonly api: ApiDocument }) {
  return (
    <article className="operation overview">
      <h1>API reference</h1>
      <Prose>{api.description}</Prose>
      <p>
        Choose an operation to read about it and to send it to this server. The same as a file:{' '}
        <a href="/v1/openapi">openapi.json</a>, in OpenAPI 3.1.
      </p>
      <section aria-labelledby="keys-title">
        <h2 id="keys-title">Keys</h2>
        <p>
          Send one as <code>Authorization: Bearer KEY</code>. Each operation says which kind opens
          it.
        </p>
        <ul className="fields">
          {api.keys.map(({ kind, description }) => (
            <li key={kind}>
              <div className="field-head">
                <span className="field-name">{keyNames[kind] ?? kind}</span>
              </div>
              <p>
                <Inline>{description}</Inline>
              </p>
            </li>
          ))}
        </ul>
      </section>
      <section aria-labelledby="pages-title">
        <h2 id="pages-title">Lists</h2>
        <p>
          A list answers a page of at most 50 and <code>page_info</code>. Send its{' '}
          <code>after</code> to get the page that follows; null: there is none.
        </p>
      </section>
      <section aria-labelledby="all-errors-title">
        <h2 id="all-errors-title">Errors</h2>
        <p>
          An answer with a status of 400 or more has <code>code</code>, <code>message</code>,{' '}
          <code>status</code>, <code>type</code>, and <code>errors</code> with each wrong field
          where there are some. Branch on the code.
        </p>
        <ul className="fields">
          {[...api.errors]
            .sort((left, right) => left.status.localeCompare(right.status))
            .map(({ status, code, meaning }) => (
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
    </article>
  );
}
