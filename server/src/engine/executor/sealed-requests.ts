import type { JsonObject } from '../../lib/json.ts';
import { isJsonObject } from '../../lib/json.ts';
import type { SecretBox } from '../../lib/secret-box.ts';
import { createMask, masked, secretTexts, wordsOnlyIn } from '../../lib/secret-texts.ts';
import type { StepSecrets } from '../../workflows/step-secrets.ts';

/** What the requests of an environment may say beside public variables; undefined where it has no secrets. */
export function stepSecrets(
  box: SecretBox,
  environmentId: number,
  values: JsonObject,
): StepSecrets | undefined {
  if (Object.keys(values).length === 0) return undefined;
  const about = sealedAbout(environmentId);
  return {
    values,
    masks: masked(values),
    seal: (request) => box.seal(JSON.stringify(request), about),
  };
}

/** What a message without sealed parts is, or what it is with them; undefined when they cannot be opened. */
export function openedContent(
  box: SecretBox | undefined,
  environmentId: number,
  content: JsonObject,
): JsonObject | undefined {
  const { sealed } = content;
  if (typeof sealed !== 'string') return content;
  const text = box?.open(sealed, sealedAbout(environmentId));
  if (text === undefined) return undefined;
  const request: unknown = JSON.parse(text);
  return isJsonObject(request) ? request : undefined;
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
