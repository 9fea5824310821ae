import { useEffect, useState } from 'react';

/** Puts `value` on the clipboard and says so for two seconds. */
export function CopyButton({ value, label }: { readonly value: string; readonly label: string }) {
  const [state, setState] = useState<'idle' | 'copied' | 'failed'>('idle');

  useEffect(() => {
    if (state === 'idle') return;
    const timer = setTimeout(() => setState('idle'), 2000);
    return () => clearTimeout(timer);
  }, [state]);

  const copy = () => {
    navigator.clipboard.writeText(value).then(
      () => setState('copied'),
      () => setState('failed'),
    );
  };

  return (
    <button type="button" className="quiet-button" onClick={copy} aria-label={`Copy ${label}`}>
      <span aria-live="polite">
        {state === 'copied' ? 'Copied' : state === 'failed' ? 'Select and copy by hand' : 'Copy'}
      </span>
    </button>
  );
}

/** A command for the terminal, ready to be copied. */
export function Command({ children }: { readonly children: string }) {
  return (
    <div className="command">
      <code>{children}</code>
      <CopyButton value={children} label={children} />
    </div>
  );
}
