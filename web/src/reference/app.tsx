import { useEffect, useState, useSyncExternalStore } from 'react';
import { requestJson } from '../shared/json.ts';
import { PageHeader } from '../shared/page-header.tsx';
import { type ApiDocument, readDocument } from './api-document.ts';
import { OperationList } from './operation-list.tsx';
import { OperationPane } from './operation-pane.tsx';
import { Overview } from './overview.tsx';
import { TryIt } from './try-it.tsx';
import { useKeys } from './use-keys.ts';

type Loaded =
  | { readonly kind: 'loaded'; readonly api: ApiDocument }
  | { readonly kind: 'failed'; readonly message: string };

/** The API of this server, to read and to try. */
export function App() {
  const loaded = useDocument();
  const id = useHash();
  const [search, setSearch] = useState('');
  const [keys, setKey, forgetKeys] = useKeys();
  const api = loaded?.kind === 'loaded' ? loaded.api : undefined;
  const selected = api?.operations.find((operation) => operation.id === id);

  useEffect(() => {
    document.title = selected
      ? `${selected.summary.replaceAll('`', '')} - Belfry API`
      : 'API reference - Belfry';
  }, [selected]);

  return (
    <div className="page reference-page">
      <button
        type="button"
        className="skip"
        onClick={() => document.getElementById('content')?.focus()}
      >
        Skip to the content
      </button>
      <PageHeader place="reference" />
      {loaded?.kind === 'failed' ? (
        <main className="overview operation" role="status">
          <h1>The API cannot be shown</h1>
          <p>{loaded.message}</p>
        </main>
      ) : api ? (
        <div className={selected ? 'reference-columns reading' : 'reference-columns'}>
          <OperationList
            operations={api.operations}
            selected={selected}
            search={search}
            onSearch={setSearch}
          />
          <main id="content" tabIndex={-1}>
            {selected ? (
              <div className="operation-columns">
                <OperationPane operation={selected} schemas={api.schemas} />
                <TryIt
                  key={selected.id}
                  operation={selected}
                  keys={keys}
                  onKey={setKey}
                  onForget={forgetKeys}
                />
              </div>
            ) : (
              <Overview api={api} />
            )}
          </main>
        </div>
      ) : null}
    </div>
  );
}

/** Undefined while it loads. */
function useDocument(): Loaded | undefined {
  const [loaded, setLoaded] = useState<Loaded>();
  useEffect(() => {
    let isStopped = false;
    requestJson('/v1/openapi').then((answer) => {
      if (isStopped) return;
      setLoaded(answer.kind === 'ok' ? { kind: 'loaded', api: readDocument(answer.body) } : answer);
    });
    return () => {
      isStopped = true;
    };
  }, []);
  return loaded;
}

function useHash(): string {
  return useSyncExternalStore(
    (changed) => {
      window.addEventListener('hashchange', changed);
      return () => window.removeEventListener('hashchange', changed);
    },
    () => decodeURIComponent(window.location.hash.slice(1)),
  );
}
