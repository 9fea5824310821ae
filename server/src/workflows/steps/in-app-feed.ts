import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { compileTemplate } from '../../templates/compile-template.ts';
import { nullable } from '../nullable.ts';
import type { Problem, StepDefinition } from '../step.ts';
import { channelStepProblems, channelStepSchema, compileChannelStep } from './channel-step.ts';
import { fieldTemplate, objectField, templateProblems } from './step-template.ts';
import { trackingOf } from './tracking.ts';

const Template = Type.Object({
  markdown_body: Type.String(),
  action_url: nullable(Type.String()),
  action_buttons: nullable(
    Type.Array(Type.Object({ label: Type.String(), action: Type.String() }), { maxItems: 10 }),
  ),
});

/**
 * A message in the in-app feed. Its content is small, as the feed is what there is most of:
 * `body`, the rendered markdown with escaped variables (it becomes HTML when it is read),
 * `action_url` or `actions`.
 */
export const inAppFeedStep: StepDefinition = {
  type: 'channel/in_app_feed',
  schema: channelStepSchema(
    'in_app_feed',
    Template,
    Type.Object({ link_tracking: nullable(Type.Boolean()) }),
  ),

  problems: (step, path, environment) => {
    const template = objectField(step, 'template');
    const at = `${path}.template`;
    return [
      ...channelStepProblems(step, path, environment, 'in_app_feed'),
      ...templateProblems(template, 'markdown_body', at, environment, 'markdown'),
      ...templateProblems(template, 'action_url', at, environment),
      ...buttons(template).flatMap((button, index): Problem[] => [
        ...templateProblems(button, 'label', `${at}.action_buttons[${index}]`, environment),
        ...templateProblems(button, 'action', `${at}.action_buttons[${index}]`, environment),
      ]),
    ];
  },

  compile: (step, environment) => {
    const template = objectField(step, 'template');
    const body = compileTemplate(String(template.markdown_body).trimEnd(), {
      escape: 'markdown',
      environment: environment.templates,
    });
    const actionUrl = fieldTemplate(template, 'action_url', environment);
    const actions = buttons(template).map((button) => ({
      label: compileTemplate(String(button.label), {
        escape: 'none',
        environment: environment.templates,
      }),
      action: compileTemplate(String(button.action), {
        escape: 'none',
        environment: environment.templates,
      }),
    }));
    const tracking = trackingOf(objectField(step, 'channel_overrides'));
    return compileChannelStep(step, environment, 'in_app_feed', ({ scope }) => {
      const content: { [key: string]: Json } = { body: body.render(scope) };
      const url = actionUrl?.render(scope).trim();
      if (url) content.action_url = url;
      if (actions.length > 0) {
        content.actions = actions.map(({ label, action }) => ({
          label: label.render(scope),
          action: action.render(scope),
        }));
      }
      if (tracking) content.tracking = tracking;
      return content;
    });
  },
};

function buttons(template: JsonObject): JsonObject[] {
  const { action_buttons: list } = template;
  return Array.isArray(list) ? list.filter(isJsonObject) : [];
}
