import { useId, useState } from 'react';
import { CopyButton } from '../shared/copy-button.tsx';
import type { DemoConfig } from './demo-config.ts';

type Sample = {
  readonly label: string;
  readonly name: string;
  readonly file: string;
  readonly note: string;
  readonly code: string;
};

/** The few lines that do the same in the reader's own code, keys filled in. */
export function CodeSample({ config }: { readonly config: DemoConfig }) {
  const id = useId();
  const samples = samplesFor(config, window.location.origin);
  const [name, setName] = useState('app');
  const sample = samples.find((candidate) => candidate.name === name);
  if (!sample) return null;

  return (
    <section className="sample" aria-labelledby={`${id}title`}>
      <div className="sample-head">
        <h2 id={`${id}title`}>The same in your code</h2>
        <div className="switch">
          {samples.map((candidate) => (
            <button
              key={candidate.name}
              type="button"
              aria-pressed={candidate.name === name}
              onClick={() => setName(candidate.name)}
            >
              {candidate.label}
            </button>
          ))}
        </div>
      </div>
      <figure>
        <figcaption>
          <span>{sample.file}</span>
          <CopyButton value={sample.code} label={sample.file} />
        </figcaption>
        <pre>
          <code>{highlighted(sample.code)}</code>
        </pre>
      </figure>
      <p className="hint">{sample.note}</p>
    </section>
  );
}

function samplesFor(config: DemoConfig, origin: string): readonly Sample[] {
  return [
    {
      name: 'app',
      label: 'In your app',
      file: 'bell.tsx',
      note: 'The public key is meant for browsers. It can read and mark this user\u2019s feed, and trigger nothing.',
      code: `<KnockProvider
  host="${origin}"
  apiKey="${config.publicKey}"
  user={{ id: "${config.user.id}" }}
>
  <KnockFeedProvider feedId="${config.feedChannelId}">
    <NotificationIconButton ref={bell} onClick={toggle} />
    <NotificationFeedPopover buttonRef={bell}
      isVisible={open} onClose={close} />
  </KnockFeedProvider>
</KnockProvider>`,
    },
    {
      name: 'server',
      label: 'On your server',
      file: 'notify.js',
      note: 'The secret key stays on your server. Yours is in .belfry/credentials.json.',
      code: `import Knock from "@knocklabs/node";

const knock = new Knock({
  baseURL: "${origin}",
  apiKey: process.env.KNOCK_API_KEY, // sk_test_...
});
await knock.workflows.trigger("new-comment", {
  recipients: [{ id: "${config.user.id}", email: "${config.user.email}" }],
  data: { comment: "Shall we open with it?" },
});`,
    },
  ];
}

/** Strings and comments get their colour; nothing else needs one in ten lines. */
function highlighted(code: string) {
  const parts = [];
  for (const match of code.matchAll(/"[^"\n]*"|\/\/[^\n]*|(?:(?!"|\/\/)[\s\S])+/g)) {
    const [part] = match;
    const kind = part.startsWith('"') ? 'string' : part.startsWith('//') ? 'comment' : undefined;
    parts.push(
      <span key={match.index} className={kind}>
        {part}
      </span>,
    );
  }
  return parts;
}
