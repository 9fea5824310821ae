import { TypeGuards } from 'liquidjs';
import { contains, equals, equalsLiteral, isTrue, orders, type RuleLiteral } from './operators.ts';
import { pathReader } from './read-property.ts';
import type { TemplateScope } from './template-scope.ts';

/** Reads what a literal, path or expression is worth in a scope. */
export type Evaluate = (scope: TemplateScope) => unknown;

type Operand = {
  readonly evaluate: Evaluate;
  /** Set when the operand is one of the literals that compare by a rule of their own. */
  readonly literal?: RuleLiteral;
};

/** Longer expressions stay with liquidjs, which evaluates them without recursion. */
const MAX_TOKENS = 64;

const RULE_LITERALS: Readonly<Record<string, RuleLiteral>> = {
  nil: 'nil',
  null: 'nil',
  empty: 'empty',
  blank: 'blank',
};

/**
 * An expression from liquidjs' tokens in postfix order: paths and literals with operators between
 * them; undefined for any other. As in liquidjs, every operand is evaluated, whatever comes before.
 */
export function plainExpression(postfix: unknown): Evaluate | undefined {
  if (!Array.isArray(postfix) || postfix.length > MAX_TOKENS) return undefined;
  const stack: Operand[] = [];
  for (const token of postfix) {
    const next = TypeGuards.isOperatorToken(token)
      ? operation(token.operator, stack)
      : plainOperand(token);
    if (!next) return undefined;
    stack.push(next);
  }
  const [only] = stack;
  return stack.length === 1 ? only?.evaluate : undefined;
}

/** A literal, or a path without computed parts; undefined for any other token. */
export function plainOperand(token: unknown): Operand | undefined {
  if (typeof token !== 'object' || token === null) return undefined;
  if ('content' in token) {
    const { content } = token;
    const literal = TypeGuards.isLiteralToken(token) ? RULE_LITERALS[token.literal] : undefined;
    return literal ? { evaluate: () => content, literal } : { evaluate: () => content };
  }
  if (!TypeGuards.isPropertyAccessToken(token) || token.variable) return undefined;
  const parts: (string | number)[] = [];
  for (const property of token.props) {
    if (!('content' in property)) return undefined;
    const { content } = property;
    if (typeof content !== 'string' && typeof content !== 'number') return undefined;
    parts.push(content);
  }
  const [name, ...keys] = parts;
  return typeof name === 'string' ? { evaluate: pathReader(name, keys) } : undefined;
}

/** Takes the operands of an operator off the stack. */
function operation(operator: string, stack: Operand[]): Operand | undefined {
  const right = stack.pop();
  if (operator === 'not') {
    return right && { evaluate: (scope) => !isTrue(right.evaluate(scope)) };
  }
  const left = stack.pop();
  const evaluate = left && right && binary(operator, left, right);
  return evaluate && { evaluate };
}

function binary(operator: string, left: Operand, right: Operand): Evaluate | undefined {
  const a = left.evaluate;
  const b = right.evaluate;
  switch (operator) {
    case '==':
      return equality(left, right);
    case '!=': {
      const equal = equality(left, right);
      return equal && ((scope) => !equal(scope));
    }
    case 'contains': {
      const isItem = right.literal ? equalsLiteral[right.literal] : equals;
      return (scope) => contains(a(scope), b(scope), isItem);
    }
    case 'and':
      return (scope) => {
        const first = a(scope);
        const second = b(scope);
        return isTrue(first) && isTrue(second);
      };
    case 'or':
      return (scope) => {
        const first = a(scope);
        const second = b(scope);
        return isTrue(first) || isTrue(second);
      };
  }
  const compare = orders[operator];
  if (!compare) return undefined;
  if (left.literal || right.literal) return () => false;
  return (scope) => compare(a(scope), b(scope));
}

/** `==`; undefined between two rule literals. */
function equality(left: Operand, right: Operand): ((scope: TemplateScope) => boolean) | undefined {
  const literal = left.literal ?? right.literal;
  if (!literal) return (scope) => equals(left.evaluate(scope), right.evaluate(scope));
  if (left.literal && right.literal) return undefined;
  const test = equalsLiteral[literal];
  const { evaluate } = left.literal ? right : left;
  return (scope) => test(evaluate(scope));
}
