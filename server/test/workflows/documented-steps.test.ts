import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { workflowProblems } from '../../src/workflows/workflow-problems.ts';
import { environment } from './support.ts';

const examples = ['channels.md', 'steps.md', 'time.md', 'batch.md'].flatMap((page) =>
  [
    ...readFileSync(new URL(`../../../docs/workflows/${page}`, import.meta.url), 'utf8').matchAll(
      /```json\n([\s\S]*?)```/g,
    ),
  ].map(([, text]) => JSON.parse(text ?? '')),
);

test('the documentation has examples', () => {
  expect(examples.length).toBeGreaterThan(0);
});

test.each(examples.map((step) => [step.type, step]))('the documented %s is valid', (_, step) => {
  expect(workflowProblems({ name: 'W', steps: [step] }, environment)).toEqual([]);
});
