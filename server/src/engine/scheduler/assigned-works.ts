import type { AssignedWork } from './state.ts';

/**
 * Assignments under way, no more than there are slots. A list, not a map: a map that things come to and leave
 * makes itself anew all the time, each table refers to the next, and one that is old keeps all that came
 * after it until the whole heap is collected.
 */
export class AssignedWorks {
  readonly #works: AssignedWork[] = [];

  get size(): number {
    return this.#works.length;
  }

  get(assignmentId: number): AssignedWork | undefined {
    for (const work of this.#works) if (work.assignment.id === assignmentId) return work;
    return undefined;
  }

  add(work: AssignedWork): void {
    this.#works.push(work);
  }

  delete(work: AssignedWork): void {
    const position = this.#works.indexOf(work);
    const last = position < 0 ? undefined : this.#works.pop();
    if (last && last !== work) this.#works[position] = last;
  }

  values(): Iterable<AssignedWork> {
    return this.#works;
  }
}
