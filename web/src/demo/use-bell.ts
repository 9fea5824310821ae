import { useKnockFeed } from '@knocklabs/react';
import { useEffect, useEffectEvent } from 'react';
import { isRecord, text } from '../shared/json.ts';

/** Feed items, of which only the trigger's data matters here. */
type Received = { readonly items: readonly { readonly data: unknown }[] };

/** Calls `rang` with the demo references of the items that just arrived by the socket. */
export function useBell(rang: (refs: readonly string[]) => void): void {
  const { feedClient } = useKnockFeed();
  const onRing = useEffectEvent(rang);

  useEffect(() => {
    const received = ({ items }: Received) => {
      onRing(items.map(({ data }) => (isRecord(data) ? text(data.demo_ref) : '')));
    };
    feedClient.on('items.received.realtime', received);
    return () => feedClient.off('items.received.realtime', received);
  }, [feedClient]);
}
