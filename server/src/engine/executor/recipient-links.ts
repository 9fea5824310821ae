import type { JsonObject } from '../../lib/json.ts';
import { USERS } from '../../recipients/reference.ts';
import type { Subscriber } from '../../recipients/subscriber-tokens.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import type { RunScope } from '../../workflows/step.ts';
import type { ChunkRun } from '../log/chunk.ts';
import { collectionOf, idOf } from './load-recipients.ts';

/** Where recipients say what they want to get. */
export type RecipientLinks = {
  /** Where a recipient says that he wants no commercial messages; absent: nowhere. */
  readonly unsubscribeUrl?: (subscriber: Subscriber) => string;
  /** Where a user changes his preferences; absent: nowhere. */
  readonly preferencesUrl?: (subscriber: Subscriber) => string;
};

/**
 * The scope with the recipient's own links in its `vars`. That to the preferences is signed when a template asks for
 * it: hardly any does.
 */
export function withLinks(
  scope: RunScope,
  run: {
    readonly environmentId: number;
    readonly recipient: ChunkRun[1];
    readonly workflow: CompiledWorkflow;
  },
  { unsubscribeUrl, preferencesUrl }: RecipientLinks,
): RunScope {
  const { environmentId, recipient, workflow } = run;
  const collection = collectionOf(recipient);
  const unsubscribes = workflow.scope.commercial === true ? unsubscribeUrl : undefined;
  const manages = collection === USERS ? preferencesUrl : undefined;
  if (!unsubscribes && !manages) return scope;
  const subscriber = { environmentId, collection, id: idOf(recipient) };
  const vars: JsonObject = unsubscribes
    ? { ...scope.vars, commercial_unsubscribe_url: unsubscribes(subscriber) }
    : scope.vars;
  if (!manages) return { ...scope, vars };
  return {
    ...scope,
    vars: {
      ...vars,
      get manage_preferences_url() {
        return manages(subscriber);
      },
    },
  };
}
