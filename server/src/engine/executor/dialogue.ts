import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Effect, Question } from '../../workflows/step.ts';
import type { NewChunk } from '../log/chunk.ts';
import { takeWaits, writeListeners } from '../waits/listen.ts';
import type { Asked } from './evaluate-run.ts';

/** Answers the questions of one kind, in their order; what it grants is taken in the transaction. */
export type Answerer = (
  tx: Queryable,
  nowMs: number,
  questions: readonly Asked<Question>[],
) => Promise<readonly JsonObject[]>;

/** Writes the effects of one kind, in their order; returns the work that comes of them. */
export type EffectWriter = (
  tx: Queryable,
  nowMs: number,
  effects: readonly Asked<Effect>[],
) => Promise<readonly NewChunk[]>;

const answerers: { readonly [kind in Question['kind']]?: Answerer } = { wait: takeWaits };

const effectWriters: { readonly [kind in Effect['kind']]?: EffectWriter } = {
  listen: writeListeners,
};

/** Answers to a round of questions, one statement or few for each kind. */
export async function answerQuestions(
  tx: Queryable,
  nowMs: number,
  questions: readonly Asked<Question>[],
): Promise<readonly JsonObject[]> {
  const answers = new Array<JsonObject>(questions.length);
  for (const [kind, positions] of byKind(questions)) {
    const answer = answerers[kind];
    if (!answer) throw new TypeError(`nobody answers questions of the kind "${kind}"`);
    const replies = await answer(tx, nowMs, pick(questions, positions));
    positions.forEach((position, i) => {
      answers[position] = replies[i] ?? {};
    });
  }
  return answers;
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

function byKind<About extends Question | Effect>(
  list: readonly Asked<About>[],
): Map<About['kind'], number[]> {
  const positions = new Map<About['kind'], number[]>();
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
