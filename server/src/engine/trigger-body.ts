import { createHash } from 'node:crypto';
import { invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { scheduleOf } from '../lib/schedule-source.ts';
import { type InlineRecipient, parseRecipient } from '../recipients/inline.ts';
import { keyText, type RecipientKey, USERS } from '../recipients/reference.ts';
import { parseTenant } from '../recipients/tenant.ts';
import type { RecipientReference, TriggerRecipient, TriggerRequest } from './engine.ts';

/** A trigger's body, read: what the engine gets, and whom to identify before. */
export type TriggerBody = Pick<
  TriggerRequest,
  'recipients' | 'actor' | 'tenant' | 'data' | 'cancellationKey' | 'settings'
> & { readonly identify: readonly InlineRecipient[] };

export type CancelBody = {
  readonly cancellationKey: string;
  readonly recipients?: readonly RecipientReference[];
};

const RECIPIENT_LIMIT = 1_000;
const OWN_DATA_CHARACTERS = 65_536;
const KEY_CHARACTERS = 255;

/** Reads by hand instead of by schema: it is the hottest request, and each error names its field. */
export function parseTriggerBody(value: unknown): TriggerBody {
  if (!isJsonObject(value)) throw invalidField('body', 'must be a JSON object');
  const identify: InlineRecipient[] = [];
  const recipients = parseRecipients(value.recipients, identify);
  const shared = parseShared(value);
  return {
    ...shared,
    recipients,
    cancellationKey: optionalKey(value.cancellation_key),
    identify: [...identify, ...shared.identify],
  };
}

/** What all recipients share: actor, tenant, data and settings, and whom of them to identify. */
export function parseShared(
  value: {
    readonly [Field in 'actor' | 'tenant' | 'data' | 'settings']?: unknown;
  },
): Pick<TriggerBody, 'actor' | 'tenant' | 'data' | 'settings' | 'identify'> {
  const identify: InlineRecipient[] = [];
  const actor = value.actor ?? null;
  let actorReference: RecipientReference | null = null;
  if (actor !== null) {
    const { key, inline } = parseRecipient(actor, 'actor');
    if (inline) identify.push(inline);
    actorReference = reference(key);
  }
  const tenant = value.tenant ?? null;
  let tenantId: string | null = null;
  if (tenant !== null) {
    const inline = parseTenant(tenant, 'tenant');
    // Without properties too: a tenant that does not exist yet is made.
    identify.push(inline);
    tenantId = inline.id;
  }
  return {
    actor: actorReference,
    tenant: tenantId,
    data: object(value.data, 'data'),
    settings: parseSettings(value.settings),
    identify,
  };
}

export function parseCancelBody(value: unknown): CancelBody {
  if (!isJsonObject(value)) throw invalidField('body', 'must be a JSON object');
  const cancellationKey = optionalKey(value.cancellation_key);
  if (cancellationKey === null) throw invalidField('cancellation_key', 'is required');
  const given = value.recipients ?? null;
  if (given === null) return { cancellationKey };
  if (!Array.isArray(given)) throw invalidField('recipients', 'must be a list');
  checkCount(given.length);
  return {
    cancellationKey,
    recipients: given.map((recipient: Json, index) =>
      reference(parseRecipient(recipient, `recipients[${index}]`).key),
    ),
  };
}

/** sha-256 of a trigger's workflow and parameters, whatever the order of their keys. */
export function requestHash(workflowKey: string, body: unknown): Buffer {
  return createHash('sha256').update(JSON.stringify(workflowKey)).update(canonical(body)).digest();
}

function parseRecipients(value: Json | undefined, identify: InlineRecipient[]): TriggerRecipient[] {
  if (value === undefined || value === null) throw invalidField('recipients', 'is required');
  if (!Array.isArray(value)) throw invalidField('recipients', 'must be a list');
  const given: readonly Json[] = value;
  if (given.length === 0) throw invalidField('recipients', 'must have at least one recipient');
  checkCount(given.length);
  const recipients: TriggerRecipient[] = [];
  const seen = new Set<string>();
  for (const [index, item] of given.entries()) {
    const { key, inline, triggerData } = parseRecipient(item, `recipients[${index}]`);
    if (inline) identify.push(inline);
    const text = keyText(key);
    if (seen.has(text)) continue;
    if (triggerData) checkOwnData(triggerData, `recipients[${index}].$trigger_data`);
    seen.add(text);
    recipients.push(
      triggerData
        ? { recipient: reference(key), data: triggerData }
        : { recipient: reference(key) },
    );
  }
  return recipients;
}

/** A recipient's own data is in each of its messages, and so in every list of them. */
function checkOwnData(data: JsonObject, field: string): void {
  const size = JSON.stringify(data).length;
  if (size > OWN_DATA_CHARACTERS) {
    throw invalidField(
      field,
      `must have at most ${OWN_DATA_CHARACTERS} characters as JSON, not ${size}; what all recipients share belongs into data`,
    );
  }
}

function checkCount(count: number): void {
  if (count > RECIPIENT_LIMIT) {
    throw invalidField(
      'recipients',
      `must have at most ${RECIPIENT_LIMIT} recipients, not ${count}`,
    );
  }
}

/** A recipient as the engine names it. */
export function reference({ collection, id }: RecipientKey): RecipientReference {
  return collection === USERS ? id : { id, collection };
}

function object(value: unknown, field: string): JsonObject {
  if (value === undefined || value === null) return {};
  if (!isJsonObject(value)) throw invalidField(field, 'must be an object');
  return value;
}

function optionalKey(value: Json | undefined): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string') throw invalidField('cancellation_key', 'must be a string');
  if (value.length > KEY_CHARACTERS) {
    throw invalidField('cancellation_key', `must have at most ${KEY_CHARACTERS} characters`);
  }
  if (scheduleOf(value) !== undefined) {
    throw invalidField('cancellation_key', 'must not begin with "$schedule:", which is reserved');
  }
  return value;
}

function parseSettings(value: unknown): TriggerRequest['settings'] {
  const given = object(value, 'settings');
  const settings: { sandbox_mode?: boolean; skip_delay?: boolean } = {};
  for (const name of ['sandbox_mode', 'skip_delay'] as const) {
    const setting = given[name] ?? null;
    if (setting === null) continue;
    if (typeof setting !== 'boolean') throw invalidField(`settings.${name}`, 'must be a boolean');
    settings[name] = setting;
  }
  return settings;
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}
