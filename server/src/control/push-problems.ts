import type { FieldError } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { mapInTurns } from '../lib/map-in-turns.ts';
import type { CompileEnvironment, Problem } from '../workflows/step.ts';
import { workflowKeyProblem, workflowProblems } from '../workflows/workflow-problems.ts';
import { resourceKeyProblem, resourceProblems } from './resource-problems.ts';
import { type Resource, resourcePlace } from './resources.ts';
import {
  type IsSecret,
  resourceSecretProblems,
  workflowSecretProblems,
} from './secret-problems.ts';
import { storableProblems } from './storable-problems.ts';
import { withoutFileFields } from './without-file-fields.ts';

export type WorkflowToPublish = { readonly key: string; readonly content: unknown };

/** A resource of which nothing is known but that its kind exists. */
export type ResourceToPublish = Pick<Resource, 'kind' | 'key'> & { readonly content: unknown };

/** Every defect of every workflow, each with a field `<key>: <JSON path>`. */
export async function pushedWorkflowProblems(
  workflows: readonly WorkflowToPublish[],
  environment: CompileEnvironment,
  isSecret: IsSecret,
): Promise<FieldError[]> {
  const seen = new Set<string>();
  const problems = await mapInTurns(workflows, ({ key, content }) => {
    const keyProblem = workflowKeyProblem(key);
    if (keyProblem) return [{ field: String(key).slice(0, 255), message: keyProblem }];
    if (seen.has(key)) return [{ field: key, message: 'is there twice' }];
    seen.add(key);
    return fieldErrors(key, contentProblems(content, environment, isSecret));
  });
  return problems.flat();
}

/** What makes resources impossible to keep or to name: nothing else may look at them before. */
export function unusableResources(resources: readonly ResourceToPublish[]): FieldError[] {
  const seen = new Set<string>();
  return resources.flatMap((resource) => {
    const place = resourcePlace(resource);
    const keyProblem = resourceKeyProblem(resource);
    if (keyProblem) return [{ field: place.slice(0, 300), message: keyProblem }];
    if (seen.has(place)) return [{ field: place, message: 'is there twice' }];
    seen.add(place);
    const unstorable = storableProblems(resource.content);
    if (unstorable.length > 0) return fieldErrors(place, unstorable);
    if (isJsonObject(resource.content)) return [];
    return [{ field: `${place}: $`, message: 'must be a JSON object' }];
  });
}

/** Every defect of every resource, each with a field `<kind>s/<key>: <JSON path>`. */
export async function pushedResourceProblems(
  resources: readonly Resource[],
  environment: CompileEnvironment,
  isSecret: IsSecret,
): Promise<FieldError[]> {
  const problems = await mapInTurns(resources, (resource) =>
    fieldErrors(
      resourcePlace(resource),
      orElse(resourceProblems(resource, environment), () =>
        resourceSecretProblems(resource, environment, isSecret),
      ),
    ),
  );
  return problems.flat();
}

function contentProblems(
  content: unknown,
  environment: CompileEnvironment,
  isSecret: IsSecret,
): Problem[] {
  const unstorable = storableProblems(content);
  if (unstorable.length > 0) return unstorable;
  const usable = isJsonObject(content) ? withoutFileFields(content) : content;
  return orElse(workflowProblems(usable, environment), () =>
    isJsonObject(usable) ? workflowSecretProblems(usable, environment, isSecret) : [],
  );
}

/** What is unusable is not looked at any further. */
function orElse(problems: Problem[], more: () => Problem[]): Problem[] {
  return problems.length > 0 ? problems : more();
}

function fieldErrors(place: string, problems: readonly Problem[]): FieldError[] {
  return problems.map(({ path, reason }) => ({ field: `${place}: ${path}`, message: reason }));
}
