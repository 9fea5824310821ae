import { KnockFeedProvider, KnockProvider } from '@knocklabs/react';
import { useMemo, useReducer, useState } from 'react';
import { useColorMode } from '../shared/use-color-mode.ts';
import { CodeSample } from './code-sample.tsx';
import { type DemoConfig, triggerDemo } from './demo-config.ts';
import { reduceRuns } from './runs.ts';
import { Stage } from './stage.tsx';
import { PushExamples } from './teaching.tsx';
import { Timeline } from './timeline.tsx';
import { type Sending, TriggerForm } from './trigger-form.tsx';
import { useBell } from './use-bell.ts';

type DemoProps = { readonly config: DemoConfig; readonly reload: () => void };

/** The demo, signed in as the demo user exactly as any app would be. */
export function Demo({ config, reload }: DemoProps) {
  const { id, name, email } = config.user;
  const user = useMemo(() => ({ id, name, email }), [id, name, email]);
  return (
    <KnockProvider apiKey={config.publicKey} host={window.location.origin} user={user}>
      <KnockFeedProvider feedId={config.feedChannelId} colorMode={useColorMode()}>
        <div className="rnf-feed-provider">
          <Workbench config={config} reload={reload} />
        </div>
      </KnockFeedProvider>
    </KnockProvider>
  );
}

function Workbench({ config, reload }: DemoProps) {
  const [runs, dispatch] = useReducer(reduceRuns, []);
  const [rings, setRings] = useState(0);

  useBell((refs) => {
    dispatch({ kind: 'rang', refs, at: performance.now() });
    setRings((before) => before + 1);
  });

  const send = async ({ example, actor, text, webhookUrl }: Sending) => {
    const ref = crypto.randomUUID();
    const sentAt = performance.now();
    dispatch({
      kind: 'sent',
      run: { ref, workflowName: example.label, sendsEmail: example.sendsEmail, sentAt },
    });
    const result = await triggerDemo(example.key, actor, {
      ...example.data(text, webhookUrl),
      demo_ref: ref,
    });
    if (result.kind === 'refused') dispatch({ kind: 'refused', ref, message: result.message });
    else {
      const { workflowRunId } = result;
      dispatch({ kind: 'accepted', ref, workflowRunId, at: performance.now() });
    }
  };

  const lastRung = runs.find((run) => run.rangAt !== undefined);
  const lastRingMs = lastRung?.rangAt === undefined ? undefined : lastRung.rangAt - lastRung.sentAt;
  const hasWorkflow = config.workflows.length > 0;

  return (
    <div className="columns workbench">
      {hasWorkflow ? (
        <TriggerForm workflows={config.workflows} onSend={send} />
      ) : (
        <PushExamples onRetry={reload} />
      )}
      <Timeline runs={runs} />
      <Stage user={config.user} rings={rings} lastRingMs={lastRingMs} />
      <CodeSample config={config} />
    </div>
  );
}
