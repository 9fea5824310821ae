import { Type } from 'typebox';
import type { Json } from '../../lib/json.ts';
import { type CompiledTemplate, compileTemplate } from '../../templates/compile-template.ts';
import { nullable } from '../nullable.ts';
import type { RunScope, StepDefinition } from '../step.ts';
import { StepError } from '../step-error.ts';
import { channelStepProblems, channelStepSchema, compileChannelStep } from './channel-step.ts';
import { jsonTemplate } from './json-template.ts';
import { fieldTemplate, objectField, oneLine, templateProblems } from './step-template.ts';
import { trackingOf } from './tracking.ts';

const Template = Type.Object({
  text_body: Type.String(),
  settings: nullable(
    Type.Object({
      payload_overrides: nullable(Type.String()),
      to_number: nullable(Type.String()),
    }),
  ),
});

/** A text message: `to`, `body`, and the `overrides` of what the provider is sent. */
export const smsStep: StepDefinition = {
  type: 'channel/sms',
  schema: channelStepSchema(
    'sms',
    Template,
    Type.Object({ link_tracking: nullable(Type.Boolean()) }),
  ),

  problems: (step, path, environment) => {
    const template = objectField(step, 'template');
    const settings = objectField(template, 'settings');
    const at = `${path}.template`;
    return [
      ...channelStepProblems(step, path, environment, 'sms'),
      ...templateProblems(template, 'text_body', at, environment),
      ...templateProblems(settings, 'payload_overrides', `${at}.settings`, environment),
      ...templateProblems(settings, 'to_number', `${at}.settings`, environment),
    ];
  },

  compile: (step, environment) => {
    const template = objectField(step, 'template');
    const settings = objectField(template, 'settings');
    const body = compileTemplate(String(template.text_body), {
      escape: 'none',
      environment: environment.templates,
    });
    const to = fieldTemplate(settings, 'to_number', environment);
    const overrides = jsonTemplate(settings, 'payload_overrides', environment);
    const tracking = trackingOf(objectField(step, 'channel_overrides'));
    return compileChannelStep(step, environment, 'sms', ({ scope }) => {
      const content: { [key: string]: Json } = {
        to: receiver(to, scope),
        body: body.render(scope).trim(),
      };
      const payload = overrides(scope);
      if (payload) content.overrides = payload;
      return tracking ? { ...content, tracking } : content;
    });
  },
};

function receiver(to: CompiledTemplate | undefined, scope: RunScope): string {
  const number = to ? to.render(scope) : scope.recipient.phone_number;
  if (typeof number === 'string' && number.trim() !== '') return oneLine(number);
  const source = to ? 'the template to_number renders as nothing' : 'it has no "phone_number"';
  throw new StepError(
    'recipient_address_missing',
    `the recipient "${String(scope.recipient.id)}" has no phone number: ${source}`,
  );
}
