import type { FeedEventCallback } from '@knocklabs/client';
import { useKnockFeed } from '@knocklabs/react';
import { useEffect, useEffectEvent } from 'react';

/** Calls `rang` with the demo references of the items that just arrived by the socket. */
export function useBell(rang: (refs: readonly string[]) => void): void {
  const { feedClient } = useKnockFeed();
  const onRing = useEffectEvent(rang);

  useEffect(() => {
    const received: FeedEventCallback = ({ items }) => {
      onRing(items.map((item) => String(item.data?.demo_ref ?? '')));
    };
    feedClient.on('items.received.realtime', received);
    return () => feedClient.off('items.received.realtime', received);
  }, [feedClient]);
}
