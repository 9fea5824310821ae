import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parsePreferences } from '../../src/recipients/preference-set.ts';
import { operators } from '../../src/workflows/condition-operators.ts';
import { compileConditions, conditionProblems } from '../../src/workflows/conditions.ts';
import { messageStatuses } from '../../src/workflows/message-status.ts';
import { scopeWith } from './support.ts';

const page = (name: string): string =>
  readFileSync(new URL(`../../../docs/workflows/${name}`, import.meta.url), 'utf8');
const examples = (text: string): unknown[] =>
  [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json = '']) => JSON.parse(json));

describe('the page on conditions', () => {
  const text = page('conditions.md');

  test('has examples without defects, that mean what they say', () => {
    const [group, status] = examples(text);
    for (const example of [group, status]) expect(conditionProblems(example, '$')).toEqual([]);
    const data = { amount: 150, tags: [], due_at: '2026-03-02' };
    const holds = compileConditions(group);
    expect(holds(scopeWith(data, { plan: 'pro' }))).toBe(true);
    expect(holds(scopeWith({ ...data, amount: 50 }, { plan: 'pro' }))).toBe(false);
    expect(holds(scopeWith({ ...data, amount: 50, tags: ['urgent'] }, { plan: 'pro' }))).toBe(true);
    expect(holds(scopeWith({ ...data, due_at: '2026-03-09' }, { plan: 'pro' }))).toBe(false);
    expect(compileConditions(status)(scopeWith())).toBe(true);
  });

  test('names every operator and every message status', () => {
    for (const name of [...Object.keys(operators), 'is_audience_member', ...messageStatuses]) {
      expect(text).toContain(`\`${name}\``);
    }
  });
});

test('the page on preferences has an example that is one', () => {
  const [example] = examples(page('preferences.md'));
  expect(parsePreferences(example, '')).toEqual(example);
});
