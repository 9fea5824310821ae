import { NotificationFeedPopover, NotificationIconButton, useKnockFeed } from '@knocklabs/react';
import { useEffect, useRef, useState } from 'react';
import { BellTower } from './bell-tower.tsx';
import type { DemoConfig } from './demo-config.ts';
import { formatElapsed } from './runs.ts';

type StageProps = {
  readonly user: DemoConfig['user'];
  readonly rings: number;
  /** From send to bell, of the newest ring of this page's own. */
  readonly lastRingMs: number | undefined;
};

/** A small app of somebody's: its bell is Knock's React feed, untouched. */
export function Stage({ user, rings, lastRingMs }: StageProps) {
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);

  // Knock's popover leaves Escape alone while the focus is on its button.
  useEffect(() => {
    if (!open) return;
    const closeOnEscape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener('keydown', closeOnEscape);
    return () => document.removeEventListener('keydown', closeOnEscape);
  }, [open]);

  return (
    <section className="stage" aria-label="Your app, with a notification bell">
      <div className="stage-bar">
        <span className="avatar" aria-hidden="true">
          {user.name.slice(0, 1)}
        </span>
        <p className="stage-user">
          <strong>{user.name}</strong>
          <span>signed in to your app</span>
        </p>
        <div className="stage-bell">
          <NotificationIconButton ref={button} onClick={() => setOpen((before) => !before)} />
          <NotificationFeedPopover
            buttonRef={button}
            isVisible={open}
            onClose={() => setOpen(false)}
          />
        </div>
      </div>
      <BellTower rings={rings} aside={open} />
      <StageCaption lastRingMs={lastRingMs} />
    </section>
  );
}

function StageCaption({ lastRingMs }: { readonly lastRingMs: number | undefined }) {
  const { useFeedStore } = useKnockFeed();
  const unread = useFeedStore((state) => state.metadata.unread_count);
  return (
    <div className="stage-caption">
      {lastRingMs === undefined ? (
        <p>
          <strong>Quiet.</strong> Send a notification and watch the bell.
        </p>
      ) : (
        <p>
          <strong className="figure">{formatElapsed(lastRingMs)}</strong> from send to bell.
        </p>
      )}
      <p className="unread">
        <span data-testid="unread-count">{unread}</span> unread
      </p>
    </div>
  );
}
