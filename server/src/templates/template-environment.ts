import type { JsonObject } from '../lib/json.ts';

export type Partial = {
  readonly type: 'html' | 'text' | 'json' | 'markdown';
  readonly content: string;
};

/** Texts of one locale, for `t`. */
export type Translation = {
  /** Such as `en` or `pt-BR`. */
  readonly locale: string;
  /** Absent: the default namespace. */
  readonly namespace?: string;
  /** Of this tenant only; absent: of all. */
  readonly tenant?: string;
  /** Texts, or objects of texts, by key. */
  readonly content: JsonObject;
};

/** What templates of an environment can use beside a run's scope, as it was when they were compiled. */
export type TemplateEnvironment = {
  readonly partial: (key: string) => Partial | undefined;
  readonly translations: readonly Translation[];
  /** The locale of those whose own has no text. */
  readonly defaultLocale: string;
};

export const bareEnvironment: TemplateEnvironment = {
  partial: () => undefined,
  translations: [],
  defaultLocale: 'en',
};
