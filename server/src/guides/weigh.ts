import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { runScope } from '../workflows/scope.ts';
import type { RunScope } from '../workflows/step.ts';
import type { Catalog } from './catalog.ts';
import { type Guide, isActive } from './guide.ts';
import type { Engagement, LoadedViewer } from './load-viewers.ts';

export type IneligibilityReason =
  | 'guide_not_active'
  | 'marked_as_archived'
  | 'target_conditions_not_met'
  | 'not_in_target_audience';

/** What a viewer gets of a guide. */
export type Weighed = {
  /** The guide as the wire contract has it; absent for who is not to see it. */
  readonly entry?: JsonObject;
  readonly ineligible?: { readonly reason: IneligibilityReason; readonly message: string };
};

const MESSAGES: { readonly [reason in IneligibilityReason]: string } = {
  guide_not_active: 'Guide is not active',
  marked_as_archived: 'User has archived this guide already',
  target_conditions_not_met: 'User does not meet the target conditions',
  not_in_target_audience: 'User is not a member of the target audience',
};

/** What conditions and templates of guides see of a viewer; made once for all guides. */
export function viewerScope(catalog: Catalog, loaded: LoadedViewer, nowMs: number): RunScope {
  return runScope({
    recipient: loaded.recipient,
    actor: null,
    tenant: loaded.tenant,
    data: loaded.viewer.data,
    workflow: {},
    vars: catalog.vars,
    timestamp: new Date(nowMs).toISOString(),
    audiences: loaded.audiences,
  });
}

/**
 * Weighs one guide for one viewer. With `force` the guide is there although the viewer is not eligible: the toolbar
 * shows why. A guide that cannot be rendered for somebody is not shown to them.
 */
export function weigh(
  guide: Guide,
  input: {
    readonly catalog: Catalog;
    readonly loaded: LoadedViewer;
    readonly scope: RunScope;
    readonly nowMs: number;
    readonly force: boolean;
  },
): Weighed {
  const { catalog, loaded, scope, nowMs, force } = input;
  const engaged = loaded.engagements.get(guide.key);
  const reason = ineligibility(guide, engaged, scope, nowMs);
  const ineligible = reason && { reason, message: MESSAGES[reason] };
  if (ineligible && !force) return { ineligible };
  try {
    const entry = {
      ...guide.fields,
      active: isActive(guide, nowMs),
      bypass_global_group_limit: catalog.group.unthrottled.has(guide.key),
      steps: guide.steps.map(({ content, ...step }) => ({
        ...step,
        content: content.constant ?? content.render(scope),
        message: messageState(engaged?.get(step.ref)),
      })),
    };
    return ineligible ? { entry, ineligible } : { entry };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    const message = `The guide cannot be rendered for this user: ${cause}`;
    return { ineligible: { reason: 'target_conditions_not_met', message } };
  }
}

function ineligibility(
  guide: Guide,
  engaged: ReadonlyMap<string, Engagement> | undefined,
  scope: RunScope,
  nowMs: number,
): IneligibilityReason | undefined {
  if (!isActive(guide, nowMs)) return 'guide_not_active';
  if (engaged && guide.steps.every(({ ref }) => engaged.get(ref)?.archivedAt)) {
    return 'marked_as_archived';
  }
  if (guide.audienceKey !== undefined && !isMember(scope.$audiences.recipient, guide.audienceKey)) {
    return 'not_in_target_audience';
  }
  if (guide.conditions && !holds(guide.conditions, scope)) return 'target_conditions_not_met';
  return undefined;
}

function isMember(audiences: Json | undefined, key: string): boolean {
  return isJsonObject(audiences) && audiences[key] === true;
}

/** What cannot be evaluated is not met. */
function holds(conditions: (scope: RunScope) => boolean, scope: RunScope): boolean {
  try {
    return conditions(scope);
  } catch {
    return false;
  }
}

function messageState(engagement: Engagement | undefined): JsonObject {
  return {
    id: engagement ? ksuidFromUuid(engagement.messageId) : null,
    seen_at: engagement?.seenAt?.toISOString() ?? null,
    read_at: engagement?.readAt?.toISOString() ?? null,
    interacted_at: engagement?.interactedAt?.toISOString() ?? null,
    archived_at: engagement?.archivedAt?.toISOString() ?? null,
    // Links in guides are the application's: nobody counts clicks on them.
    link_clicked_at: null,
  };
}
