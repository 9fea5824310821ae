import { compileTemplate } from '../../src/templates/compile-template.ts';
import type { Escape } from '../../src/templates/setting.ts';
import {
  bareEnvironment,
  type Partial,
  type TemplateEnvironment,
} from '../../src/templates/template-environment.ts';
import type { TemplateScope } from '../../src/templates/template-scope.ts';

/** What a test's templates can use. */
export function environmentOf(
  partials: Readonly<Record<string, Partial>>,
  rest: Omit<globalThis.Partial<TemplateEnvironment>, 'partial'> = {},
): TemplateEnvironment {
  return { ...bareEnvironment, ...rest, partial: (key) => partials[key] };
}

/** A template's text. */
export function rendered(
  source: string,
  scope: TemplateScope = {},
  escaping: Escape = 'none',
  environment: TemplateEnvironment = bareEnvironment,
): string {
  return compileTemplate(source, { escape: escaping, environment }).render(scope);
}

/** What went wrong, as callers see it. */
export function failure(run: () => unknown): { readonly code?: string; readonly message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  return { message: 'nothing went wrong' };
}
