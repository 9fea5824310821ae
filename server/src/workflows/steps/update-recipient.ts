import { Type } from 'typebox';
import { deepMerge, type JsonObject } from '../../lib/json.ts';
import { conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import type { Problem, RunScope, StepDefinition, StepOutcome } from '../step.ts';
import { StepError } from '../step-error.ts';
import { compiledConditions, isSet, stepFields } from './channel-step.ts';
import { jsonTemplate } from './json-template.ts';
import { fieldTemplate, objectField, oneLine, templateProblems } from './step-template.ts';
import { named } from './update-data.ts';

const USERS = '$users';
const TENANTS = '$tenants';
const MAX_BYTES = 256 * 1024;

/** Not properties: they are set otherwise. */
const CONSUMED = ['id', 'collection', 'preferences', 'channel_data', '__typename', 'updated_at'];

type Target = { readonly collection: string; readonly id: string };

export const updateUserStep = updateStep('update_user', USERS);
export const updateTenantStep = updateStep('update_tenant', TENANTS);
export const updateObjectStep = updateStep('update_object', undefined);

/**
 * Merges properties into a recipient, as identifying it does: the run's own (`current`), or one that is named by
 * `gid://Object/COLLECTION/ID`. Later steps of the run see them.
 */
function updateStep(type: string, collection: string | undefined): StepDefinition {
  const fields = {
    recipient_gid: nullable(Type.String()),
    update_properties: Type.String({ minLength: 1 }),
  };
  return {
    type,
    schema: Type.Object({
      ...stepFields,
      type: Type.Literal(type),
      settings: Type.Object(
        collection === undefined
          ? fields
          : { ...fields, recipient_mode: Type.Enum(['current', 'reference']) },
      ),
    }),

    problems: (step, path, environment) => {
      const settings = objectField(step, 'settings');
      const at = `${path}.settings`;
      return [
        ...conditionProblems(step.conditions, `${path}.conditions`),
        ...gidProblems(settings, at, collection),
        ...templateProblems(settings, 'recipient_gid', at, environment),
        ...templateProblems(settings, 'update_properties', at, environment),
      ];
    },

    compile: (step, environment) => {
      const settings = objectField(step, 'settings');
      const isCurrent = collection !== undefined && settings.recipient_mode === 'current';
      const gid = fieldTemplate(settings, 'recipient_gid', environment);
      const propertiesFor = jsonTemplate(settings, 'update_properties', environment);
      return {
        ref: String(step.ref),
        type,
        ...compiledConditions(step),
        execute: ({ scope }): StepOutcome => {
          const target = isCurrent
            ? currentTarget(scope, collection)
            : referenced(oneLine(gid?.render(scope) ?? ''), collection);
          const properties = propertiesOf(propertiesFor(scope));
          if (Object.keys(properties).length === 0) {
            return { kind: 'continue', reason: 'there is nothing to merge' };
          }
          return {
            kind: 'continue',
            reason: `${named(properties)} of ${target.collection}/${target.id}`,
            effects: [{ kind: 'recipient', ...target, properties }],
            ...seenLater(scope, target, properties),
          };
        },
      };
    },
  };
}

/** The recipient, or the tenant, of the run. */
function currentTarget(scope: RunScope, collection: string): Target {
  const subject = collection === TENANTS ? scope.tenant : scope.recipient;
  const id = subject?.id;
  if (typeof id !== 'string' || (collection === USERS && collectionOf(scope.recipient) !== USERS)) {
    const what = collection === TENANTS ? 'the run has no tenant' : 'the recipient is no user';
    throw new StepError('no_target', `${what}; there is nobody to update`);
  }
  return { collection, id };
}

function referenced(gid: string, collection: string | undefined): Target {
  const target = parseGid(gid);
  if (!target || (collection !== undefined && target.collection !== collection)) {
    throw new StepError('no_target', `"${gid}" is not of the form ${gidForm(collection)}`);
  }
  return target;
}

function propertiesOf(rendered: JsonObject | undefined): JsonObject {
  const entries = Object.entries(rendered ?? {}).filter(([key]) => !CONSUMED.includes(key));
  return Object.fromEntries(entries);
}

/** The run's recipient and tenant as later steps find them. */
function seenLater(
  scope: RunScope,
  { collection, id }: Target,
  properties: JsonObject,
): { readonly recipient?: JsonObject; readonly tenant?: JsonObject } {
  const merged = (known: JsonObject): JsonObject => {
    const all = deepMerge(known, properties);
    if (JSON.stringify(all).length <= MAX_BYTES) return all;
    throw new StepError('too_large', `the properties of "${id}" would be larger than 256 kB`);
  };
  const { recipient, tenant } = scope;
  return {
    ...(recipient.id === id && collectionOf(recipient) === collection
      ? { recipient: merged(recipient) }
      : {}),
    ...(tenant?.id === id && collection === TENANTS ? { tenant: merged(tenant) } : {}),
  };
}

function collectionOf({ collection }: JsonObject): string {
  return typeof collection === 'string' && collection !== '' ? collection : USERS;
}

/** `gid://Object/projects/p-1`; the id may have slashes. */
function parseGid(gid: string): Target | undefined {
  const match = /^gid:\/\/Object\/([^/]+)\/(.+)$/.exec(gid);
  return match?.[1] && match[2] ? { collection: match[1], id: match[2] } : undefined;
}

function gidForm(collection = 'COLLECTION'): string {
  return `gid://Object/${collection}/ID`;
}

function gidProblems(
  settings: JsonObject,
  path: string,
  collection: string | undefined,
): Problem[] {
  if (collection !== undefined && settings.recipient_mode !== 'reference') return [];
  const gid = settings.recipient_gid;
  const at = `${path}.recipient_gid`;
  if (!isSet(gid)) return [{ path: at, reason: `is missing; name ${gidForm(collection)}` }];
  const text = String(gid);
  if (text.includes('{{') || text.includes('{%')) return [];
  const target = parseGid(text);
  if (target && (collection === undefined || target.collection === collection)) return [];
  return [{ path: at, reason: `must be of the form ${gidForm(collection)}` }];
}
