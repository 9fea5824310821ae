import { useEffect, useState } from 'react';
import {
  type Filter,
  filterQuery,
  isMessageType,
  type Loaded,
  loadMessage,
  loadMessages,
  type Message,
  type MessageSummary,
} from './messages.ts';

const pollMs = 2000;

type Answer = {
  readonly filter: Filter;
  readonly messages: Loaded<readonly MessageSummary[]>;
};

/** The list, refreshed every two seconds while the page is visible; undefined before the first answer. */
export function useMessages(filter: Filter): Loaded<readonly MessageSummary[]> | undefined {
  const [answer, setAnswer] = useState<Answer>();
  useEffect(() => {
    let stopped = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refresh = async () => {
      clearTimeout(timer);
      const messages = await loadMessages(filter);
      if (stopped) return;
      setAnswer({ filter, messages });
      if (!document.hidden) timer = setTimeout(refresh, pollMs);
    };
    const visibilityChanged = () => {
      if (!document.hidden) refresh();
    };
    refresh();
    document.addEventListener('visibilitychange', visibilityChanged);
    return () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', visibilityChanged);
    };
  }, [filter]);
  return answer?.filter === filter ? answer.messages : undefined;
}

/** The message with this id, read again when it has another status; undefined while it loads. */
export function useMessage(id: string, status: string): Loaded<Message> | undefined {
  const [current, setCurrent] = useState<{ readonly id: string; readonly is: Loaded<Message> }>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: what has another status is another message
  useEffect(() => {
    let stopped = false;
    loadMessage(id).then((is) => {
      if (!stopped) setCurrent({ id, is });
    });
    return () => {
      stopped = true;
    };
  }, [id, status]);
  return current?.id === id ? current.is : undefined;
}

/** The selected id lives in the address, so that a reload and the back button keep it. */
export function useSelectedId(): readonly [string, (id: string) => void] {
  const [id, setId] = useState(() => window.location.hash.slice(1));
  useEffect(() => {
    const changed = () => setId(window.location.hash.slice(1));
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, []);
  return [
    id,
    (next) => {
      window.location.hash = next;
    },
  ];
}

/** The filter lives in the address, so that it can be linked to; changing it closes the message. */
export function useFilter(): readonly [Filter, (filter: Filter) => void] {
  const [filter, setFilter] = useState(filterOfAddress);
  return [
    filter,
    (next) => {
      window.history.replaceState(null, '', `${window.location.pathname}${filterQuery(next)}`);
      window.dispatchEvent(new HashChangeEvent('hashchange'));
      setFilter(next);
    },
  ];
}

function filterOfAddress(): Filter {
  const query = new URLSearchParams(window.location.search);
  const type = query.get('type');
  return {
    type: isMessageType(type) ? type : '',
    recipient: query.get('recipient') ?? '',
    workflow: query.get('workflow') ?? '',
  };
}
