import { isRecord, requestJson, text } from '../shared/json.ts';

export type DemoWorkflow = { readonly key: string; readonly name: string };

export type DemoConfig = {
  readonly publicKey: string;
  readonly feedChannelId: string;
  readonly user: { readonly id: string; readonly name: string; readonly email: string };
  /** Published workflows of the demo environment. */
  readonly workflows: readonly DemoWorkflow[];
};

export type DemoConfigAnswer =
  | { readonly kind: 'ready'; readonly config: DemoConfig }
  | { readonly kind: 'unavailable'; readonly message: string };

/** Who this page is and what it may trigger, from `/dev/demo.json`. */
export async function loadDemoConfig(): Promise<DemoConfigAnswer> {
  const answer = await requestJson('/dev/demo.json');
  if (answer.kind === 'failed') return { kind: 'unavailable', message: answer.message };
  const { public_key, channels, user, workflows } = answer.body;
  if (!isRecord(channels) || !isRecord(user) || !Array.isArray(workflows)) {
    return { kind: 'unavailable', message: 'The server speaks another version of the demo page.' };
  }
  return {
    kind: 'ready',
    config: {
      publicKey: text(public_key),
      feedChannelId: text(channels['in-app']),
      user: { id: text(user.id), name: text(user.name), email: text(user.email) },
      workflows: workflows
        .filter(isRecord)
        .map((workflow) => ({ key: text(workflow.key), name: text(workflow.name) })),
    },
  };
}

export type TriggerData = {
  readonly [key: string]: string | { readonly [key: string]: string | number };
};

export type TriggerResult =
  | { readonly kind: 'accepted'; readonly workflowRunId: string }
  | { readonly kind: 'refused'; readonly message: string };

/** Triggers a workflow for the page's user through the development endpoint. */
export async function triggerDemo(
  workflow: string,
  actor: string,
  data: TriggerData,
): Promise<TriggerResult> {
  const answer = await requestJson('/dev/demo/trigger', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ workflow, actor, data }),
  });
  return answer.kind === 'ok'
    ? { kind: 'accepted', workflowRunId: text(answer.body.workflow_run_id) }
    : { kind: 'refused', message: answer.message };
}
