import { type ReactNode, useEffect } from 'react';
import { Command } from '../shared/copy-button.tsx';
import { BellTower } from './bell-tower.tsx';

const lookAgainMs = 2000;

/** In the place of the form while there is nothing to trigger; notices when there is. */
export function PushExamples({ onRetry }: { readonly onRetry: () => void }) {
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) onRetry();
    }, lookAgainMs);
    return () => clearInterval(timer);
  }, [onRetry]);

  return (
    <div className="trigger">
      <h2>First, publish the example workflows</h2>
      <p>
        A workflow is a directory of files. Three of them come with Belfry, in{' '}
        <code>examples/</code>. Run this in another terminal; this page notices by itself.
      </p>
      <Command>npx belfry push examples</Command>
    </div>
  );
}

/** In the place of the whole demo when this server offers none. */
export function NoDemo({
  message,
  onRetry,
}: {
  readonly message: string;
  readonly onRetry: () => void;
}) {
  return (
    <Quiet>
      <h2>The demo is switched off on this server</h2>
      <p className="reason">{message}</p>
      <p>
        The demo triggers workflows without a secret key, so it exists only where nobody else can
        reach it: on a server bound to this computer, with its <code>demo</code> account. To see it,
        start one of your own:
      </p>
      <Command>BELFRY_HOST=127.0.0.1 npm start</Command>
      <p>
        The API works all the same: the <a href="/docs">API reference</a> says how.
      </p>
      <button type="button" className="send" onClick={onRetry}>
        Look again
      </button>
    </Quiet>
  );
}

function Quiet({ children }: { readonly children: ReactNode }) {
  return (
    <div className="columns">
      <div className="trigger">{children}</div>
      <section className="stage" aria-hidden="true">
        <BellTower rings={0} />
      </section>
    </div>
  );
}
