import type { Value } from 'liquidjs';
import { escapeOutput, finish } from './liquid.ts';
import { type Evaluate, plainExpression, plainOperand } from './plain-expression.ts';
import type { Rendering } from './rendering.ts';

/** An expression with the filters that it goes through. */
export type PlainValue = {
  readonly evaluate: (rendering: Rendering) => unknown;
  /** Whether the result is to be escaped. */
  readonly escaped: boolean;
};

type PlainFilter = {
  readonly handler: (...values: unknown[]) => unknown;
  /** The rest of what liquidjs binds to `this`, besides the context. */
  readonly self: { readonly token: unknown; readonly liquid: unknown };
  readonly parameters: readonly Parameter[];
};

type Parameter = { readonly name?: string; readonly evaluate: Evaluate };

/** The value of an output or condition; undefined when something in it is not plain. */
export function plainValue(value: Value): PlainValue | undefined {
  const expression = plainExpression(Reflect.get(value.initial, 'postfix'));
  if (!expression) return undefined;
  // Only HTML templates have this filter, as the last of every output that is to be escaped.
  const escaped = Reflect.get(value.filters.at(-1) ?? {}, 'handler') === escapeOutput;
  const filters: PlainFilter[] = [];
  for (const filter of escaped ? value.filters.slice(0, -1) : value.filters) {
    const handler: unknown = Reflect.get(filter, 'handler');
    const parameters = filter.args.map(parameter);
    if (typeof handler !== 'function' || !parameters.every((one) => one !== undefined)) {
      return undefined;
    }
    filters.push({
      handler: handler as PlainFilter['handler'],
      self: { token: Reflect.get(filter, 'token'), liquid: Reflect.get(filter, 'liquid') },
      parameters,
    });
  }
  if (filters.length === 0) return { evaluate: ({ scope }) => expression(scope), escaped };
  return {
    evaluate: (rendering) => filtered(expression(rendering.scope), filters, rendering),
    escaped,
  };
}

function parameter(argument: unknown): Parameter | undefined {
  const named = Array.isArray(argument);
  const operand = plainOperand(named ? argument[1] : argument);
  if (!operand) return undefined;
  const { evaluate } = operand;
  return named ? { name: String(argument[0]), evaluate } : { evaluate };
}

function filtered(
  value: unknown,
  filters: readonly PlainFilter[],
  { scope, context }: Rendering,
): unknown {
  let result = value;
  for (const { handler, self, parameters } of filters) {
    const values = parameters.map(({ name, evaluate }) =>
      name === undefined ? evaluate(scope) : [name, evaluate(scope)],
    );
    const { token, liquid } = self;
    result = finish(handler.apply({ context, token, liquid }, [result, ...values]) as never);
  }
  return result;
}
