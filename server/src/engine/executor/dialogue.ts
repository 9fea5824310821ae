import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Effect, Question } from '../../workflows/step.ts';
import type { NewChunk } from '../log/chunk.ts';
import { takeWaits, writeListeners } from '../waits/listen.ts';
import { answerBatches } from '../windows/answer-batches.ts';
import { writeCarriers } from '../windows/carriers.ts';
import { passThrottles, takeOnce } from '../windows/gates.ts';

import { writeAudiences } from './effects/audiences.ts';
import { writeRecipients } from './effects/recipients.ts';
import { answerTriggers, writeTriggers } from './effects/triggers.ts';
import type { Asked } from './evaluate-run.ts';

/** Where the first chunk that comes of effects will lie, and when. */
export type ChunkPlace = {
  readonly stream: number;
  readonly sequence: number;
  readonly nowMs: number;
};

/** Writes the effects of one kind, in their order; returns the work that comes of them. */
export type EffectWriter = (
  tx: Queryable,
  nowMs: number,
  effects: readonly Asked<Effect>[],
  place: ChunkPlace,
) => Promise<readonly NewChunk[]>;

/** In the order in which they write: the same everywhere, so that two executors cannot wait for each other. */
const effectWriters: { readonly [kind in Effect['kind']]?: EffectWriter } = {
  listen: writeListeners,
  batch: writeCarriers,
  recipient: writeRecipients,
  audience: writeAudiences,
  trigger: writeTriggers,
};

/** Answers to a round of questions, one statement or few for each kind. */
export async function answerQuestions(
  tx: Queryable,
  nowMs: number,
  questions: readonly Asked<Question>[],
): Promise<readonly JsonObject[]> {
  const answers = new Array<JsonObject>(questions.length);
  const give = ({ positions }: Positions, replies: readonly JsonObject[]): void => {
    positions.forEach((position, i) => {
      answers[position] = replies[i] ?? {};
    });
  };
  const once = ofKind(questions, 'once');
  if (once.list.length > 0) give(once, await takeOnce(tx, nowMs, once.list));
  const throttles = ofKind(questions, 'throttle');
  if (throttles.list.length > 0) give(throttles, await passThrottles(tx, nowMs, throttles.list));
  const waits = ofKind(questions, 'wait');
  if (waits.list.length > 0) give(waits, await takeWaits(tx, nowMs, waits.list));
  const triggers = ofKind(questions, 'trigger');
  if (triggers.list.length > 0) give(triggers, await answerTriggers(tx, nowMs, triggers.list));
  const batches = ofKind(questions, 'batch');
  if (batches.list.length > 0) give(batches, await answerBatches(tx, nowMs, batches.list));
  return answers;
}

type Positions = { readonly positions: readonly number[] };

function ofKind<Kind extends Question['kind']>(
  questions: readonly Asked<Question>[],
  kind: Kind,
): Positions & { readonly list: readonly Asked<Extract<Question, { kind: Kind }>>[] } {
  const positions: number[] = [];
  const list = questions.filter(
    (question, position): question is Asked<Extract<Question, { kind: Kind }>> => {
      const isOfKind = question.about.kind === kind;
      if (isOfKind) positions.push(position);
      return isOfKind;
    },
  );
  return { positions, list };
}

/** Writes what runs change elsewhere; returns the work that comes of it, which lies from `place` on. */
export async function writeEffects(
  tx: Queryable,
  effects: readonly Asked<Effect>[],
  place: ChunkPlace,
): Promise<readonly NewChunk[]> {
  const chunks: NewChunk[] = [];
  const positions = byKind(effects);
  for (const kind of positions.keys()) {
    if (!effectWriters[kind]) throw new TypeError(`nobody writes effects of the kind "${kind}"`);
  }
  for (const [kind, write] of Object.entries(effectWriters)) {
    const own = positions.get(kind as Effect['kind']);
    if (!own || !write) continue;
    const at = { ...place, sequence: place.sequence + chunks.length };
    chunks.push(...(await write(tx, place.nowMs, pick(effects, own), at)));
  }
  return chunks;
}

function byKind(list: readonly Asked<Effect>[]): Map<Effect['kind'], number[]> {
  const positions = new Map<Effect['kind'], number[]>();
  list.forEach(({ about: { kind } }, position) => {
    const known = positions.get(kind);
    if (known) known.push(position);
    else positions.set(kind, [position]);
  });
  return positions;
}

function pick<Item>(list: readonly Item[], positions: readonly number[]): Item[] {
  return positions.flatMap((position) => list[position] ?? []);
}
