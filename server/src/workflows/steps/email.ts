import { Type } from 'typebox';
import type { Json } from '../../lib/json.ts';
import { type CompiledTemplate, compileTemplate } from '../../templates/compile-template.ts';
import { nullable } from '../nullable.ts';
import type { RunScope, StepDefinition } from '../step.ts';
import { StepError } from '../step-error.ts';
import { attachmentsOf } from './attachments.ts';
import { channelStepProblems, channelStepSchema, compileChannelStep } from './channel-step.ts';
import { compileEmailBody, emailBodyProblems } from './email-body.ts';
import { jsonTemplate } from './json-template.ts';
import { fieldTemplate, objectField, oneLine, templateProblems } from './step-template.ts';
import { trackingOf } from './tracking.ts';

const Template = Type.Object({
  subject: Type.String(),
  html_body: nullable(Type.String()),
  text_body: nullable(Type.String()),
  visual_blocks: Type.Optional(Type.Unknown()),
  is_mjml: nullable(Type.Boolean()),
  settings: nullable(
    Type.Object({
      layout_key: nullable(Type.String()),
      pre_content: nullable(Type.String()),
      attachment_key: nullable(Type.String()),
    }),
  ),
});

/** The override's name in a step, and the field of the content that it becomes. */
const ADDRESSES = {
  from_address: 'from',
  from_name: 'from_name',
  cc_address: 'cc',
  bcc_address: 'bcc',
  reply_to_address: 'reply_to',
} as const;

const Overrides = Type.Object({
  to_address: nullable(Type.String()),
  from_address: nullable(Type.String()),
  from_name: nullable(Type.String()),
  cc_address: nullable(Type.String()),
  bcc_address: nullable(Type.String()),
  reply_to_address: nullable(Type.String()),
  json_overrides: nullable(Type.String()),
  link_tracking: nullable(Type.Boolean()),
  open_tracking: nullable(Type.Boolean()),
});

/**
 * An e-mail: `to`, `subject`, `html_body`, `text_body`, the addresses that are overridden, and of a commercial
 * workflow `unsubscribe_url`.
 */
export const emailStep: StepDefinition = {
  type: 'channel/email',
  schema: channelStepSchema('email', Template, Overrides),

  problems: (step, path, environment) => {
    const template = objectField(step, 'template');
    const overrides = objectField(step, 'channel_overrides');
    const at = `${path}.template`;
    return [
      ...channelStepProblems(step, path, environment, 'email'),
      ...emailBodyProblems(template, at, environment),
      ...templateProblems(template, 'subject', at, environment),
      ...Object.keys(overrides).flatMap((field) =>
        templateProblems(overrides, field, `${path}.channel_overrides`, environment),
      ),
    ];
  },

  compile: (step, environment) => {
    const template = objectField(step, 'template');
    const overrides = objectField(step, 'channel_overrides');
    const to = fieldTemplate(overrides, 'to_address', environment);
    const subject = compileTemplate(String(template.subject), {
      escape: 'none',
      environment: environment.templates,
    });
    const body = compileEmailBody(template, environment);
    const key = objectField(template, 'settings').attachment_key;
    const attached = attachmentsOf(typeof key === 'string' && key !== '' ? key : undefined);
    const addresses = Object.entries(ADDRESSES).flatMap(([field, name]) => {
      const address = fieldTemplate(overrides, field, environment);
      return address ? [[name, address] as const] : [];
    });
    const requestOverrides = jsonTemplate(overrides, 'json_overrides', environment);
    const tracking = trackingOf(overrides);
    return compileChannelStep(step, environment, 'email', ({ scope }) => {
      const content: { [key: string]: Json } = {
        to: receiver(to, scope),
        subject: oneLine(subject.render(scope)),
      };
      for (const [name, address] of addresses) {
        const value = oneLine(address.render(scope));
        if (value !== '') content[name] = value;
      }
      const { html, text } = body(scope);
      if (html !== undefined) content.html_body = html;
      content.text_body = text;
      const attachments = attached(scope);
      if (attachments) content.attachments = { ...attachments };
      const unsubscribe = scope.vars.commercial_unsubscribe_url;
      if (typeof unsubscribe === 'string') content.unsubscribe_url = unsubscribe;
      const request = requestOverrides(scope);
      if (request) content.overrides = request;
      if (tracking) content.tracking = tracking;
      return content;
    });
  },
};

function receiver(to: CompiledTemplate | undefined, scope: RunScope): string {
  const address = to ? to.render(scope) : scope.recipient.email;
  if (typeof address === 'string' && address.trim() !== '') return oneLine(address);
  const source = to ? 'the template to_address renders as nothing' : 'it has no property "email"';
  throw new StepError(
    'recipient_address_missing',
    `the recipient "${String(scope.recipient.id)}" has no e-mail address: ${source}`,
  );
}
