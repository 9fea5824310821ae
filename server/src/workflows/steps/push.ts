import { Type } from 'typebox';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { compileTemplate } from '../../templates/compile-template.ts';
import { nullable } from '../nullable.ts';
import type { StepDefinition } from '../step.ts';
import { StepError } from '../step-error.ts';
import {
  channelStepProblems,
  channelStepSchema,
  compileChannelStep,
  type Letter,
} from './channel-step.ts';
import { jsonTemplate } from './json-template.ts';
import { objectField, oneLine, templateProblems } from './step-template.ts';

const Template = Type.Object({
  title: Type.String(),
  text_body: Type.String(),
  settings: Type.Object({
    delivery_type: Type.Enum(['silent', 'content']),
    payload_overrides: nullable(Type.String()),
  }),
});

/** As many as a step sends to: the devices that were registered last. */
const MAX_DEVICES = 20;

type Device = { readonly token: string; readonly timezone?: string };

/**
 * A push notification, a message for each of the recipient's devices: `token`, `title` and `body` (empty when it is
 * `silent`), the `overrides` of what the provider is sent. `keeps_token` says that a token is not to be removed when the
 * provider says that it is gone.
 */
export const pushStep: StepDefinition = {
  type: 'channel/push',
  schema: channelStepSchema(
    'push',
    Template,
    Type.Object({ token_deregistration: nullable(Type.Boolean()) }),
  ),

  problems: (step, path, environment) => {
    const template = objectField(step, 'template');
    const settings = objectField(template, 'settings');
    const at = `${path}.template`;
    return [
      ...channelStepProblems(step, path, environment, 'push'),
      ...templateProblems(template, 'title', at, environment),
      ...templateProblems(template, 'text_body', at, environment),
      ...templateProblems(settings, 'payload_overrides', `${at}.settings`, environment),
    ];
  },

  compile: (step, environment) => {
    const template = objectField(step, 'template');
    const settings = objectField(template, 'settings');
    const options = { escape: 'none', environment: environment.templates } as const;
    const title = compileTemplate(String(template.title), options);
    const body = compileTemplate(String(template.text_body), options);
    const overrides = jsonTemplate(settings, 'payload_overrides', environment);
    const isSilent = settings.delivery_type === 'silent';
    const keepsToken = objectField(step, 'channel_overrides').token_deregistration === false;
    return {
      ...compileChannelStep(step, environment, 'push', ({ scope, channelData }, channel) => {
        const devices = devicesOf(channelData?.[channel.id]);
        if (devices.length === 0) {
          throw new StepError(
            'recipient_address_missing',
            `the recipient "${String(scope.recipient.id)}" has no device: its channel data for this channel holds no token`,
          );
        }
        const payload = overrides(scope);
        const shared: JsonObject = {
          title: isSilent ? '' : oneLine(title.render(scope)),
          body: isSilent ? '' : body.render(scope).trim(),
          ...(isSilent ? { silent: true } : {}),
          ...(payload ? { overrides: payload } : {}),
          ...(keepsToken ? { keeps_token: true } : {}),
        };
        return devices.map(
          ({ token, timezone }): Letter => ({
            content: { token, ...shared },
            ...(timezone === undefined ? {} : { timezone }),
          }),
        );
      }),
      needsChannelData: true,
    };
  },
};

/** The devices in a recipient's channel data, whose form was checked when it was set. */
function devicesOf(data: JsonObject | undefined): Device[] {
  const list = Array.isArray(data?.devices) ? data.devices : [];
  const devices = list.filter(isJsonObject).flatMap((device: JsonObject): Device[] => {
    const token: Json | undefined = device.token ?? device.target_arn;
    if (typeof token !== 'string' || token === '') return [];
    const { timezone } = device;
    return [{ token, ...(typeof timezone === 'string' ? { timezone } : {}) }];
  });
  const tokens = [data?.player_ids].flatMap((ids) =>
    Array.isArray(ids) ? ids.filter((id) => typeof id === 'string' && id !== '') : [],
  );
  const byToken = new Map(
    [...devices, ...tokens.map((token) => ({ token: String(token) }))].map((device) => [
      device.token,
      device,
    ]),
  );
  return [...byToken.values()].slice(-MAX_DEVICES);
}
