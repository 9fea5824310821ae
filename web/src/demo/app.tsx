import { useCallback, useEffect, useState } from 'react';
import { PageHeader } from '../shared/page-header.tsx';
import { Demo } from './demo.tsx';
import { type DemoConfigAnswer, loadDemoConfig } from './demo-config.ts';
import { NoDemo } from './teaching.tsx';

/** The first page that anybody sees. */
export function App() {
  const [answer, setAnswer] = useState<DemoConfigAnswer>();
  const reload = useCallback(() => {
    loadDemoConfig().then(setAnswer);
  }, []);
  useEffect(reload, [reload]);

  return (
    <div className="page">
      <PageHeader place="demo" />
      <main>
        <div className="intro">
          <h1>Notifications that keep ringing.</h1>
          <p>
            Say once what happened and who should know. Belfry runs the workflow for each person and
            delivers it in the app, by e-mail and by webhook. This page is a real client of the
            server you just started.
          </p>
        </div>
        {answer === undefined ? (
          <div className="columns loading" role="status" aria-label="Loading" />
        ) : null}
        {answer?.kind === 'unavailable' ? (
          <NoDemo message={answer.message} onRetry={reload} />
        ) : null}
        {answer?.kind === 'ready' ? <Demo config={answer.config} reload={reload} /> : null}
      </main>
      <footer className="page-footer">
        <p>
          The bell is Knock&rsquo;s own React feed, unmodified. E-mails of this server land in the{' '}
          <a href="/dev/messages">message viewer</a>; every call is in the{' '}
          <a href="/docs">API reference</a>.
        </p>
      </footer>
    </div>
  );
}
