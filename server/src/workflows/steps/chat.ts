import { Type } from 'typebox';
import { withoutSecrets } from '../../lib/chat-connection.ts';
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import { nullable } from '../nullable.ts';
import type { Problem, RunScope, StepDefinition } from '../step.ts';
import { StepError } from '../step-error.ts';
import type { StepSecrets } from '../step-secrets.ts';
import {
  channelStepProblems,
  channelStepSchema,
  compileChannelStep,
  isSet,
  type Letter,
} from './channel-step.ts';
import { jsonTemplate } from './json-template.ts';
import { fieldTemplate, objectField, oneLine, templateProblems } from './step-template.ts';
import { trackingOf } from './tracking.ts';

const Template = Type.Object({
  markdown_body: nullable(Type.String()),
  json_body: nullable(Type.String()),
  summary: nullable(Type.String()),
});

const Overrides = Type.Object({
  link_tracking: nullable(Type.Boolean()),
  email_based_user_id_resolution: nullable(Type.Boolean()),
});

/** As many as a step sends to. */
const MAX_CONNECTIONS = 20;

/**
 * A post in a chat, a message for each of the recipient's connections: `connection`, and `body` (markdown) or `json`,
 * `summary`.
 */
export const chatStep: StepDefinition = {
  type: 'channel/chat',
  schema: channelStepSchema('chat', Template, Overrides),

  problems: (step, path, environment) => {
    const template = objectField(step, 'template');
    const at = `${path}.template`;
    return [
      ...channelStepProblems(step, path, environment, 'chat'),
      ...bodyProblems(template, at),
      ...templateProblems(template, 'markdown_body', at, environment),
      ...templateProblems(template, 'json_body', at, environment),
      ...templateProblems(template, 'summary', at, environment),
    ];
  },

  compile: (step, environment) => {
    const template = objectField(step, 'template');
    const channelOverrides = objectField(step, 'channel_overrides');
    const markdown = fieldTemplate(template, 'markdown_body', environment);
    const json = jsonTemplate(template, 'json_body', environment);
    const summary = fieldTemplate(template, 'summary', environment);
    const byEmail = channelOverrides.email_based_user_id_resolution === true;
    const tracking = trackingOf(channelOverrides);
    return {
      ...compileChannelStep(
        step,
        environment,
        'chat',
        ({ scope, channelData, secrets }, channel) => {
          const connections = connectionsOf(channelData?.[channel.id], scope, byEmail);
          const shared: { [key: string]: Json } = {};
          const payload = json(scope);
          if (payload) shared.json = payload;
          else shared.body = markdown?.render(scope).trim() ?? '';
          const line = summary ? oneLine(summary.render(scope)) : '';
          if (line !== '') shared.summary = line;
          if (tracking) shared.tracking = tracking;
          return connections.map(
            (connection): Letter => ({ content: { ...kept(connection, secrets), ...shared } }),
          );
        },
      ),
      needsChannelData: true,
    };
  },
};

/** A connection as a message keeps it: what lets its holder post in the chat is sealed, until it is sent. */
function kept(connection: JsonObject, secrets: StepSecrets | undefined): JsonObject {
  const shown = withoutSecrets(connection);
  if (!secrets || JSON.stringify(shown) === JSON.stringify(connection)) return { connection };
  return { connection: shown, sealed: secrets.seal({ connection }) };
}

/**
 * Where a recipient is reached: its connections, each with the token that they share where it has none; what the
 * channel data is otherwise, as some providers have no list; or its e-mail address, by which the provider can look.
 */
function connectionsOf(
  data: JsonObject | undefined,
  { recipient }: RunScope,
  byEmail: boolean,
): JsonObject[] {
  const { connections, token, ...rest } = data ?? {};
  const shared: JsonObject = isJsonObject(token) ? token : {};
  if (Array.isArray(connections)) {
    const list = connections.filter(isJsonObject);
    if (list.length > 0) {
      return list.slice(0, MAX_CONNECTIONS).map((one: JsonObject) => ({ ...shared, ...one }));
    }
  } else if (Object.keys(rest).length > 0) {
    return [{ ...shared, ...rest }];
  }
  const { email } = recipient;
  if (byEmail && typeof email === 'string' && email.trim() !== '') {
    return [{ ...shared, user_email: oneLine(email) }];
  }
  const way = byEmail ? 'no connection, and it has no "email"' : 'no connection';
  throw new StepError(
    'recipient_address_missing',
    `the recipient "${String(recipient.id)}" is in no chat: its channel data for this channel holds ${way}`,
  );
}

function bodyProblems(template: JsonObject, path: string): Problem[] {
  const hasMarkdown = isSet(template.markdown_body);
  const hasJson = isSet(template.json_body);
  if (hasMarkdown && hasJson) {
    const reason = 'has both "markdown_body" and "json_body"; exactly one must be set';
    return [{ path, reason }];
  }
  return hasMarkdown || hasJson ? [] : [{ path, reason: 'lacks "markdown_body" or "json_body"' }];
}
