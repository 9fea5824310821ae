import type { JsonObject } from '../../lib/json.ts';
import { isJsonObject } from '../../lib/json.ts';
import type { SecretBox } from '../../lib/secret-box.ts';
import { createMask, masked, secretTexts, wordsOnlyIn } from '../../lib/secret-texts.ts';
import type { StepSecrets } from '../../workflows/step-secrets.ts';

/** What the requests of an environment may say beside public variables, and what seals its messages. */
export function stepSecrets(
  box: SecretBox,
  environmentId: number,
  values: JsonObject,
): StepSecrets {
  const about = sealedAbout(environmentId);
  return {
    values,
    masks: masked(values),
    seal: (fields) => box.seal(JSON.stringify(fields), about),
  };
}

/** A message's content with the fields that are sealed in it; undefined when they cannot be opened. */
export function openedContent(
  box: SecretBox | undefined,
  environmentId: number,
  content: JsonObject,
): JsonObject | undefined {
  const { sealed, ...shown } = content;
  if (typeof sealed !== 'string') return content;
  const text = box?.open(sealed, sealedAbout(environmentId));
  if (text === undefined) return undefined;
  const fields: unknown = JSON.parse(text);
  return isJsonObject(fields) ? { ...shown, ...fields } : undefined;
}

/**
 * What is kept of a request's answer: endpoints, and errors, may repeat what they were sent. `shown` is the request
 * with masks.
 */
export function answerMask(
  shown: JsonObject,
  request: JsonObject,
  values: JsonObject = {},
): (answer: JsonObject) => JsonObject {
  const mask = createMask([...secretTexts(values), ...wordsOnlyIn(request, shown)]);
  return (answer) => mask?.(answer) ?? answer;
}

function sealedAbout(environmentId: number): string {
  return JSON.stringify(['request', environmentId]);
}
