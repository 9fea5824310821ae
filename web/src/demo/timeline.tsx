import { type DemoRun, formatElapsed } from './runs.ts';

/** What happened to each press on the send button, newest first. */
export function Timeline({ runs }: { readonly runs: readonly DemoRun[] }) {
  return (
    <section className="timeline" aria-labelledby="timeline-title">
      <h2 id="timeline-title">What happened</h2>
      {runs.length === 0 ? (
        <p className="hint">
          Each notification you send is listed here: the id of its workflow run, when the server had
          it safely on disk, and when the bell rang.
        </p>
      ) : null}
      <ol aria-live="polite">
        {runs.map((run) => (
          <li key={run.ref}>
            <RunEntry run={run} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function RunEntry({ run }: { readonly run: DemoRun }) {
  return (
    <>
      <h3>
        <span>{run.workflowName}</span>
        {run.accepted ? (
          <code title={run.accepted.workflowRunId}>{run.accepted.workflowRunId}</code>
        ) : null}
      </h3>
      {run.refused ? <p className="refused">{run.refused}</p> : <RunSteps run={run} />}
    </>
  );
}

function RunSteps({ run }: { readonly run: DemoRun }) {
  return (
    <dl>
      <div className={run.accepted ? 'done' : 'open'}>
        <dt>Accepted</dt>
        <dd>{run.accepted ? formatElapsed(run.accepted.at - run.sentAt) : 'sending'}</dd>
      </div>
      <div className={run.rangAt === undefined ? 'open' : 'rang'}>
        <dt>Bell rang</dt>
        <dd>{run.rangAt === undefined ? 'waiting' : formatElapsed(run.rangAt - run.sentAt)}</dd>
      </div>
      {run.sendsEmail && run.rangAt !== undefined ? (
        <div className="link">
          <dt className="unseen">E-mail</dt>
          <dd>
            <a href="/dev/messages?type=email">Read the e-mail</a>
          </dd>
        </div>
      ) : null}
    </dl>
  );
}
