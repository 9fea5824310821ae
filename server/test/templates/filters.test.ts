import { createHash, createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { RecipientNeeded } from '../../src/templates/recipient-needed.ts';
import { lookup } from '../../src/templates/template-scope.ts';
import { failure, rendered } from './support.ts';

const at = '2023-12-31T19:30:45Z';

describe('dates', () => {
  test.each([
    [`{{ at | timezone: "America/New_York" }}`, '2023-12-31T14:30:45-05:00'],
    [`{{ at | timezone: "Asia/Kolkata" }}`, '2024-01-01T01:00:45+05:30'],
    [
      `{{ "2023-07-01T12:00:00.250Z" | timezone: "Europe/Paris" }}`,
      '2023-07-01T14:00:00.250+02:00',
    ],
    [`{{ "soon" | timezone: "Europe/Paris" }}`, 'soon'],
    [`{{ nothing | timezone: "Europe/Paris" }}`, ''],
  ])(
    'are moved into a time zone, and stay what they are when they are none: %s [template.filter.timezone]',
    (source, expected) => {
      expect(rendered(source, { at })).toBe(expected);
    },
  );

  test.each([
    [`{{ at | date: "%-I:%M %p %Z", "America/New_York" }}`, '2:30 PM EST'],
    [`{{ "2023-07-01T12:00:00Z" | date: "%H:%M %Z %z", "America/New_York" }}`, '08:00 EDT -0400'],
    [`{{ at | date: "%%Z %Y", "America/New_York" }}`, '%Z 2023'],
    [`{{ at | date: "%Y-%m-%d %H:%M" }}`, '2023-12-31 19:30'],
    [`{{ "2023-12-31" | date: "%A, %d %B" }}`, 'Sunday, 31 December'],
    [`{{ 1700000000 | date: "%H:%M" }}`, '22:13'],
    [`{{ at | timezone: "America/New_York" | date: "%H:%M" }}`, '14:30'],
    [`{{ "2023-12-31T10:00:00" | date: "%H:%M %z" }}`, '10:00 +0000'],
    [`{{ "whenever" | date: "%Y" }}`, 'whenever'],
  ])(
    'are written in a pattern, in a time zone when there is one: %s [template.filter.date]',
    (source, expected) => {
      expect(rendered(source, { at })).toBe(expected);
    },
  );

  test.each([
    [`{{ at | format_date_in_locale: "en-GB", "long" }}`, '31 December 2023'],
    [`{{ at | format_date_in_locale: "en-US" }}`, '12/31/23'],
    [`{{ at | format_date_in_locale: "de", "full" }}`, 'Sonntag, 31. Dezember 2023'],
    [`{{ at | format_date_in_locale: "pt_BR", "medium" }}`, '31 de dez. de 2023'],
    [`{{ at | format_date_in_locale: "no such locale" }}`, '12/31/23'],
  ])(
    'are written as people of a locale do: %s [template.filter.format_date_in_locale]',
    (source, expected) => {
      expect(rendered(source, { at })).toBe(expected);
    },
  );

  test.each([
    [`{{ at | format_datetime_in_locale: "en-GB", "medium", "short" }}`, '31 Dec 2023, 19:30'],
    [`{{ at | format_datetime_in_locale: "en-US", "short", "medium" }}`, '12/31/23, 7:30:45 PM'],
    [
      `{{ at | timezone: "America/New_York" | format_datetime_in_locale: "en-US", "long", "short" }}`,
      'December 31, 2023 at 2:30 PM',
    ],
  ])('have a time, too: %s [template.filter.format_datetime_in_locale]', (source, expected) => {
    expect(rendered(source, { at })).toBe(expected);
  });

  test('with a zone or style that does not exist say which', () => {
    expect(failure(() => rendered(`{{ at | date: "%H", "Mars/Base" }}`, { at })).message).toContain(
      'there is no time zone "Mars/Base"',
    );
    expect(
      failure(() => rendered(`{{ at | format_date_in_locale: "en", "tiny" }}`, { at })).message,
    ).toContain('date_format is one of short, medium, long, full, not "tiny"');
  });
});

describe('numbers', () => {
  test.each([
    [`{{ 10000 | format_number: "en" }}`, '10,000'],
    [`{{ "1234.5" | format_number: "de" }}`, '1.234,5'],
    [`{{ "many" | format_number: "de" }}`, 'many'],
  ])(
    'are written as people of a locale do: %s [template.filter.format_number]',
    (source, expected) => {
      expect(rendered(source)).toBe(expected);
    },
  );

  test.each([
    [`{{ 10 | currency }}`, '$10.00'],
    [`{{ 10 | currency: "GBP", "en" }}`, '£10.00'],
    [`{{ 10 | currency: "EUR", "de" }}`, '10,00\u00a0€'],
    [`{{ 1000 | currency: "JPY", "ja" }}`, '￥1,000'],
  ])('are money: %s [template.filter.currency]', (source, expected) => {
    expect(rendered(source)).toBe(expected);
  });

  test.each([
    [`{{ 10.99 | rounded_currency: "GBP", "en" }}`, '£11'],
    [`{{ 10.49 | rounded_currency }}`, '$10'],
  ])(
    'are money without its small change: %s [template.filter.rounded_currency]',
    (source, expected) => {
      expect(rendered(source)).toBe(expected);
    },
  );

  test('in what is no currency say so', () => {
    expect(failure(() => rendered(`{{ 1 | currency: "Euros" }}`)).message).toContain(
      '"Euros" is no currency; use one such as "EUR"',
    );
  });
});

describe('text and data [template.filter.json] [template.filter.from_json] [template.filter.pluralize] [template.filter.titlecase] [template.filter.md5] [template.filter.sha256] [template.filter.hmac_sha256] [template.filter.intersect] [template.filter.compare_versions]', () => {
  const scope = { name: 'ann', list: [1, 2, 3], other: [3, 1], data: { id: 'u1' } };
  test.each([
    ['json', `{{ data | json }}`, '{"id":"u1"}'],
    ['json', `{{ nothing | json }}`, 'null'],
    ['from_json', `{% assign x = '{"a":[1,2]}' | from_json %}{{ x.a | last }}`, '2'],
    [
      'pluralize',
      `{{ 1 | pluralize: "user", "users" }} {{ 2 | pluralize: "user", "users" }}`,
      'user users',
    ],
    ['titlecase', `{{ "my PROJECT's name" | titlecase }}`, "My Project's Name"],
    ['intersect', `{{ list | intersect: other | join: "," }}`, '1,3'],
    ['from_markdown', `{{ "# Hello *you*" | from_markdown }}`, '<h1>Hello <em>you</em></h1>'],
    ['compare_versions', `{{ "1.0.0" | compare_versions: "2.0.0" }}`, '-1'],
    ['compare_versions', `{{ "1.2" | compare_versions: "1.2.0" }}`, '0'],
    ['compare_versions', `{{ "1.10.0" | compare_versions: "1.9.9" }}`, '1'],
    ['compare_versions', `{{ "1.0.0-rc.2" | compare_versions: "1.0.0-rc.10" }}`, '-1'],
    ['compare_versions', `{{ "1.0.0" | compare_versions: "1.0.0-rc.1" }}`, '1'],
    ['compare_versions', `{{ "latest" | compare_versions: "1.0.0" }}`, ''],
    ['md5', `{{ name | md5 }}`, createHash('md5').update('ann').digest('hex')],
    ['sha256', `{{ name | sha256 }}`, createHash('sha256').update('ann').digest('hex')],
    [
      'hmac_sha256',
      `{{ name | hmac_sha256: "k" }}`,
      createHmac('sha256', 'k').update('ann').digest('hex'),
    ],
  ])('the filter gives what it is for %s %s', (_, source, expected) => {
    expect(rendered(source, scope)).toBe(expected);
  });

  test('markdown from anybody is safe HTML, and is not escaped a second time [template.filter.from_markdown]', () => {
    const source = '{{ data.text | from_markdown }}';
    const text = '**hi** <script>x</script> [a](javascript:alert(1))';
    expect(rendered(source, { data: { text } }, 'html')).toBe(
      '<p><strong>hi</strong> &lt;script&gt;x&lt;/script&gt; [a](javascript:alert(1))</p>',
    );
  });

  test('text that is no JSON is not repeated in the error', () => {
    const { message } = failure(() => rendered('{{ "sk_secret" | from_json }}'));
    expect(message).toContain('9 characters that are no JSON');
    expect(message).not.toContain('sk_');
  });
});

describe('somebody else', () => {
  const scope = {
    data: { other: 'u2' },
    [lookup]: {
      missed: [],
      find: ({ kind, collection, id }: { kind: string; collection: string; id: string }) =>
        id === 'nobody'
          ? null
          : id === 'later'
            ? undefined
            : kind === 'recipient'
              ? { id, name: `${collection}/${id}` }
              : [{ object: { id: 'p1' }, properties: { role: 'owner' } }],
    },
  };

  test.each([
    ['user', `{% assign u = data.other | user %}{{ u.name }}`, '$users/u2'],
    ['object', `{% assign p = "p1" | object: "projects" %}{{ p.name }}`, 'projects/p1'],
    ['tenant', `{% assign t = "acme" | tenant %}{{ t.name }}`, '$tenants/acme'],
    [
      'subscriptions',
      `{% assign subs = "u2" | subscriptions %}{% for s in subs %}{{ s.object.id }}:{{ s.properties.role }}{% endfor %}`,
      'p1:owner',
    ],
    ['user', `{% assign u = "nobody" | user %}[{{ u.name }}]{% if u %}?{% endif %}`, '[]'],
    ['user', `{% assign u = data.missing | user %}[{{ u.name }}]`, '[]'],
  ])(
    'is found by id, and is nothing when not there [template.filter.%s] %s',
    (_, source, expected) => {
      expect(rendered(source, scope)).toBe(expected);
    },
  );

  test.each([
    '{{ "later" | user | json }}',
    '{% for i in (1..2) %}{% assign u = "later" | user %}{% endfor %}',
  ])('who is not in memory is asked for: %s', (source) => {
    const error = failure(() => rendered(source, scope));
    expect(error).toBeInstanceOf(RecipientNeeded);
    expect(error).toMatchObject({
      wants: [{ kind: 'recipient', collection: '$users', id: 'later' }],
    });
  });
});
