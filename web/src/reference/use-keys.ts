import { useState } from 'react';
import { isRecord, text } from '../shared/json.ts';
import type { KeyKind } from './api-document.ts';

/** In this tab and until it is closed; other tabs do not see it. */
const STORE = 'belfry.reference.keys';

export type Keys = { readonly [kind: KeyKind]: string };

/** The name under which the token of a user is kept beside the keys. */
export const USER_TOKEN = 'userToken';

/** The keys that the reader typed in. */
export function useKeys(): readonly [Keys, (kind: KeyKind, key: string) => void, () => void] {
  const [keys, setKeys] = useState(readKeys);
  const set = (kind: KeyKind, key: string) => {
    const next = { ...keys, [kind]: key };
    setKeys(next);
    sessionStorage.setItem(STORE, JSON.stringify(next));
  };
  const forget = () => {
    setKeys({});
    sessionStorage.removeItem(STORE);
  };
  return [keys, set, forget];
}

function readKeys(): Keys {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(STORE) ?? '{}');
    if (!isRecord(stored)) return {};
    return Object.fromEntries(Object.entries(stored).map(([kind, key]) => [kind, text(key)]));
  } catch {
    return {};
  }
}
