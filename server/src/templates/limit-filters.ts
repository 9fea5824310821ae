import type { Context, Liquid } from 'liquidjs';

type FilterCall = { readonly context: Context };
type Steps = Generator<unknown, unknown, unknown>;

/** Steps between two looks at the clock. */
const STEPS_A_LOOK = 64;

/**
 * liquidjs looks at the clock between tags and outputs only. Its filters that evaluate something
 * for each item (`where_exp`, `sort`, `map`, ...) are generators: with this they look, too.
 */
export function limitFilterTime(liquid: Liquid): void {
  for (const [name, filter] of Object.entries(liquid.filters)) {
    if (typeof filter !== 'function' || filter.constructor.name !== 'GeneratorFunction') continue;
    liquid.registerFilter(name, function* (this: FilterCall, ...values: unknown[]): Steps {
      return yield* withLimit(this.context, filter.apply(this as never, values as never) as Steps);
    });
  }
}

function* withLimit({ renderLimit }: Context, steps: Steps): Steps {
  renderLimit.check(performance.now());
  let step = steps.next();
  for (let count = 1; !step.done; count++) {
    if (count % STEPS_A_LOOK === 0) renderLimit.check(performance.now());
    let value: unknown;
    try {
      value = yield step.value;
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next(value);
  }
  return step.value;
}
