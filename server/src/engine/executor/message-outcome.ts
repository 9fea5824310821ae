import type { StepInput, StepMessage } from '../../workflows/step.ts';

/**
 * What a message is when it is written: the feed has it at once unless it waits for its send window, in the sandbox it
 * is never sent.
 */
export function outcomeOf(
  message: StepMessage,
  settings: StepInput['settings'],
): 'delivered' | 'not_sent' | 'queued' {
  if (message.channelType === 'in_app_feed') {
    return message.scheduledMs === undefined ? 'delivered' : 'queued';
  }
  return settings.sandbox_mode === true || message.sandbox === true ? 'not_sent' : 'queued';
}
