import { type KeyboardEvent, useEffect, useRef } from 'react';
import { found, groupsOf, type Operation } from './api-document.ts';
import { Inline } from './prose.tsx';

type ListProps = {
  readonly operations: readonly Operation[];
  readonly selected: Operation | undefined;
  readonly search: string;
  readonly onSearch: (search: string) => void;
};

/** All operations by group, with what is looked for. `/` goes to the search, arrows through what it found. */
export function OperationList({ operations, selected, search, onSearch }: ListProps) {
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLElement>(null);
  const wanted = search.trim();
  const shown = wanted === '' ? operations : found(operations, wanted);

  useEffect(() => {
    const toSearch = (event: globalThis.KeyboardEvent) => {
      const isTyping =
        event.target instanceof Element && event.target.closest('input, textarea, select');
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener('keydown', toSearch);
    return () => document.removeEventListener('keydown', toSearch);
  }, []);

  const move = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    const links = [...(list.current?.querySelectorAll<HTMLElement>('details[open] a') ?? [])];
    const at = links.findIndex((link) => link.matches(':focus'));
    const next = at + step;
    if (next < -1 || links.length === 0) return;
    event.preventDefault();
    if (next === -1) field.current?.focus();
    else links[Math.min(next, links.length - 1)]?.focus();
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: arrow keys only move among links that are reached without them
    <div className="operations" onKeyDown={move}>
      <search>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const [first] = shown;
            if (first && wanted !== '') window.location.hash = first.id;
          }}
        >
          <label>
            <span className="unseen">Search the API</span>
            <input
              ref={field}
              type="search"
              placeholder="Search: identify, feed, 409 …"
              aria-keyshortcuts="/"
              value={search}
              onChange={({ target }) => onSearch(target.value)}
            />
          </label>
          <p className="found" role="status">
            {wanted === ''
              ? `${operations.length} operations`
              : shown.length === 1
                ? '1 operation found'
                : `${shown.length} operations found`}
          </p>
        </form>
      </search>
      <nav ref={list} aria-label="Operations">
        {groupsOf(shown).map(([group, members]) => (
          <details
            key={`${group} ${wanted !== ''}`}
            open={wanted !== '' || isIn(members, selected)}
          >
            <summary>
              <h2>{group}</h2>
              <span className="group-size">{members.length}</span>
            </summary>
            <ul>
              {members.map((operation) => (
                <li key={operation.id}>
                  <a
                    href={`#${operation.id}`}
                    aria-current={operation.id === selected?.id ? 'page' : undefined}
                    className={operation.isDeprecated ? 'deprecated' : undefined}
                  >
                    <Method name={operation.method} />
                    <span className="operation-summary">
                      <Inline>{operation.summary}</Inline>
                    </span>
                  </a>
                </li>
              ))}
            </ul>
          </details>
        ))}
      </nav>
    </div>
  );
}

/** `GET`, in the colour of what it does. */
export function Method({ name }: { readonly name: string }) {
  return <span className={`method ${name.toLowerCase()}`}>{name === 'DELETE' ? 'DEL' : name}</span>;
}

function isIn(members: readonly Operation[], selected: Operation | undefined): boolean {
  return selected !== undefined && members.includes(selected);
}
