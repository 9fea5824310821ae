import { expect, test } from 'vitest';
import {
  conditionNeeds,
  looksAtActivities,
  workflowNeeds,
} from '../../src/workflows/condition-needs.ts';
import { environment as bare } from './support.ts';

test('a template of a step’s name, again and again, keeps nobody for minutes', () => {
  const content = { steps: [{ text: 'refs.'.repeat(100_000) }] };
  expect(conditionNeeds(content)).toBeUndefined();
});

test.each([
  ['refs.a.delivery_status', true],
  ['refs["a b"].delivery_status', true],
  ['refs.a.matched', false],
  ['data.delivery_status', false],
])('a workflow with a condition on %s needs message statuses: %s', (variable, needed) => {
  const content = { conditions: { all: [{ variable, operator: 'exists' }] } };
  expect(conditionNeeds(content)?.messages ?? false).toBe(needed);
});

test.each([
  ['{{ content }}{% assign r = refs.mail %}\n{{ r.delivery_status }}', {}, true],
  ['{{ content }}{{ refs.wait.matched }}', {}, false],
  [
    "{{ content }}{% render 'one', step: refs.mail %}",
    { one: "{%- render 'two', s: step -%}" },
    true,
  ],
  ["{{ content }}{% render 'two' %}", {}, false],
  ["{{ content }}{% render 'loop', step: refs.mail %}", { loop: "{% render 'loop' %}" }, false],
])(
  'a workflow needs message statuses for its layout %j with the partials %j: %s',
  (html, partials, needed) => {
    const contents: Readonly<Record<string, string>> = { two: '{{ s.status }}', ...partials };
    const layout = { html, text: '', isMjml: false, footerLinks: [] };
    const environment = {
      ...bare,
      layout: (key: string) => (key === 'mine' ? layout : undefined),
      templates: {
        ...bare.templates,
        partial: (key: string) =>
          contents[key] === undefined
            ? undefined
            : { type: 'html' as const, content: contents[key] },
      },
    };
    const step = { type: 'channel', template: { settings: { layout_key: 'mine' } } };
    expect(workflowNeeds({ steps: [step] }, environment)?.messages ?? false).toBe(needed);
    expect(workflowNeeds({ steps: [{}] }, environment)).toBeUndefined();
  },
);

test.each([
  [{ template: { markdown_body: '{% for a in activities %}{{ a.n }}{% endfor %}' } }, true],
  [{ template: { markdown_body: "{% render 'list', all:\nactivities %}" } }, true],
  [{ conditions: { all: [{ variable: '{{ activities[0].n }}' }] } }, true],
  [{ template: { settings: { layout_key: 'list' } } }, true],
  [{ template: { markdown_body: '{{ total_activities }} {{ run.total_activities }}' } }, false],
])('whether the step %j looks at activities: %s', (step, expected) => {
  const layout = { html: '{{ content }}', text: '', isMjml: false, footerLinks: [] };
  const environment = {
    ...bare,
    layout: () => ({ ...layout, html: '{{ content }}{{ activities | size }}' }),
  };
  expect(looksAtActivities({ steps: [step] }, environment)).toBe(expected);
});

test('a workflow needs message statuses for a partial in a visual block of its own', () => {
  const templates = {
    ...bare.templates,
    partial: () => ({ type: 'html' as const, content: '{{ s.engagement_status }}' }),
  };
  const block = { type: 'partial', key: 'card', attrs: { s: '{{ refs.mail }}' } };
  const step = { type: 'channel', template: { visual_blocks: [block] } };
  expect(workflowNeeds({ steps: [step] }, { ...bare, templates })?.messages).toBe(true);
});
