import type { JsonObject } from '../../lib/json.ts';
import type { CompileEnvironment, StepDefinition } from '../step.ts';
import { aiAgentStep } from './ai-agent.ts';
import { batchStep } from './batch.ts';
import { branchStep } from './branch.ts';
import { chatStep } from './chat.ts';
import { delayStep } from './delay.ts';
import { emailStep } from './email.ts';
import { httpStep } from './http.ts';
import { httpFetchStep } from './http-fetch.ts';
import { inAppFeedStep } from './in-app-feed.ts';
import { pushStep } from './push.ts';
import { randomCohortStep } from './random-cohort.ts';
import { smsStep } from './sms.ts';
import { throttleStep } from './throttle.ts';
import { triggerWorkflowStep } from './trigger-workflow.ts';
import { updateAudienceStep } from './update-audience.ts';
import { updateDataStep } from './update-data.ts';
import { updateObjectStep, updateTenantStep, updateUserStep } from './update-recipient.ts';
import { waitForEventStep } from './wait-for-event.ts';

/** Every kind of step there is. */
const all: readonly StepDefinition[] = [
  inAppFeedStep,
  emailStep,
  smsStep,
  pushStep,
  chatStep,
  httpStep,
  delayStep,
  batchStep,
  throttleStep,
  branchStep,
  randomCohortStep,
  waitForEventStep,
  httpFetchStep,
  aiAgentStep,
  updateDataStep,
  updateUserStep,
  updateObjectStep,
  updateTenantStep,
  updateAudienceStep,
  triggerWorkflowStep,
];

const definitions: ReadonlyMap<string, StepDefinition> = new Map(
  all.map((step) => [step.type, step]),
);

/** The definition of a step's kind, or the name of the kind that does not exist. */
export function stepDefinition(
  step: JsonObject,
  environment: CompileEnvironment,
): StepDefinition | { readonly unknownType: string } {
  const type = stepType(step, environment);
  return definitions.get(type) ?? { unknownType: type };
}

/** Every definition, in the order in which they are documented. */
export function stepDefinitions(): readonly StepDefinition[] {
  return all;
}

/** The kinds of steps that exist, for messages. */
export function stepTypes(): string[] {
  return [...definitions.keys()];
}

/** A channel step need not name its channel's type; the channel has it. */
function stepType(step: JsonObject, environment: CompileEnvironment): string {
  if (step.type !== 'channel') return String(step.type);
  if (typeof step.channel_type === 'string') return `channel/${step.channel_type}`;
  const { channel_key: key, channel_group_key: groupKey } = step;
  const channel =
    typeof key === 'string'
      ? environment.channel(key)
      : typeof groupKey === 'string'
        ? environment.channelGroup(groupKey)
        : undefined;
  return channel ? `channel/${channel.type}` : 'channel';
}
