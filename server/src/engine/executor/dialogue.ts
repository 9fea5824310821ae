import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Effect, Question } from '../../workflows/step.ts';
import type { NewChunk } from '../log/chunk.ts';
import { takeWaits, writeListeners } from '../waits/listen.ts';
import { answerBatches } from '../windows/answer-batches.ts';
import { writeCarriers } from '../windows/carriers.ts';
import { passThrottles, takeOnce } from '../windows/gates.ts';
import type { Asked } from './evaluate-run.ts';

/** Writes the effects of one kind, in their order; returns the work that comes of them. */
export type EffectWriter = (
  tx: Queryable,
  nowMs: number,
  effects: readonly Asked<Effect>[],
) => Promise<readonly NewChunk[]>;

const effectWriters: { readonly [kind in Effect['kind']]?: EffectWriter } = {
  listen: writeListeners,
  batch: writeCarriers,
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

/** Writes what runs change elsewhere; returns the work that comes of it. */
export async function writeEffects(
  tx: Queryable,
  nowMs: number,
  effects: readonly Asked<Effect>[],
): Promise<readonly NewChunk[]> {
  const chunks: NewChunk[] = [];
  for (const [kind, positions] of byKind(effects)) {
    const write = effectWriters[kind];
    if (!write) throw new TypeError(`nobody writes effects of the kind "${kind}"`);
    chunks.push(...(await write(tx, nowMs, pick(effects, positions))));
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
