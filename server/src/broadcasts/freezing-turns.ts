import type { Broadcast } from './broadcast.ts';

type Waiting = Pick<Broadcast, 'id' | 'environment_id' | 'state'>;

/**
 * Says which broadcast is frozen a little next: environments take turns, and in each of them its broadcasts. One
 * at a time, so that however many are frozen, those that are being sent wait for one piece only.
 */
export function createFreezingTurns(): (broadcasts: readonly Waiting[]) => number | undefined {
  let turn = 0;
  let environments = new Map<number, number>();
  let turns = new Map<number, number>();
  return (broadcasts) => {
    const waiting = broadcasts.filter(({ state }) => state === 'freezing');
    const environmentTurn = (id: number): number => environments.get(id) ?? 0;
    const ownTurn = (id: number): number => turns.get(id) ?? 0;
    const [next] = waiting.toSorted(
      (a, b) =>
        environmentTurn(a.environment_id) - environmentTurn(b.environment_id) ||
        ownTurn(a.id) - ownTurn(b.id),
    );
    if (!next) return undefined;
    environments = new Map(
      waiting.map(({ environment_id }) => [environment_id, environmentTurn(environment_id)]),
    );
    turns = new Map(waiting.map(({ id }) => [id, ownTurn(id)]));
    turn += 1;
    environments.set(next.environment_id, turn);
    turns.set(next.id, turn);
    return next.id;
  };
}
