import { Compile, type Validator } from 'typebox/compile';
import { operations } from './operations.ts';
import { type ServerRoute, serverRoutes, shapeOf } from './server-routes.ts';

export type RecordedFetch = {
  readonly fetch: typeof globalThis.fetch;
  /** Operations of the contract that were answered with 2xx: `GET /v1/users/{user_id}`. */
  readonly answered: ReadonlySet<string>;
  /** Answers that are not what their route declares; emptied by whoever reads it. */
  readonly takeWrong: () => string[];
};

/** `fetch` that holds every good answer against the schema of the route that gave it. */
export async function recordedFetch(): Promise<RecordedFetch> {
  const routes = await serverRoutes();
  const find = routeFinder(routes);
  const validators = new Map<object, Validator>();
  const answered = new Set<string>();
  let wrong: string[] = [];
  const names = new Map<string, string>(
    operations.map(([method, path]) => [shapeOf(method, path), `${method} ${path}`]),
  );

  async function check(method: string, url: string, response: Response): Promise<void> {
    const route = find(method, new URL(url).pathname);
    if (!route || !response.ok) return;
    const name = names.get(shapeOf(route.method, route.path));
    if (name !== undefined) answered.add(name);
    const label = `${method} ${route.path}`;
    const schema = route.answers[String(response.status)];
    if (!schema) {
      wrong.push(`${label} answers ${response.status}, which its route does not declare`);
      return;
    }
    const text = await response.text();
    if (response.status === 204) {
      if (text !== '') wrong.push(`${label} answers 204 with a body`);
      return;
    }
    const validator = validators.get(schema) ?? Compile(schema);
    validators.set(schema, validator);
    const value: unknown = JSON.parse(text);
    if (validator.Check(value)) return;
    const [first] = validator.Errors(value);
    wrong.push(`${label}: ${first?.instancePath} ${first?.message} in ${text.slice(0, 1_000)}`);
  }

  return {
    fetch: async (input, init) => {
      const response = await globalThis.fetch(input, init);
      await check(init?.method ?? 'GET', String(input), response.clone());
      return response;
    },
    answered,
    takeWrong: () => {
      const taken = wrong;
      wrong = [];
      return taken;
    },
  };
}

/** The route of a path; one with fewer parameters wins, as in the router. */
function routeFinder(
  routes: readonly ServerRoute[],
): (method: string, path: string) => ServerRoute | undefined {
  const parameters = (path: string) => path.split('{').length;
  const patterns = [...routes]
    .sort((left, right) => parameters(left.path) - parameters(right.path))
    .map((route) => ({
      route,
      pattern: new RegExp(`^${route.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
    }));
  return (method, path) =>
    patterns.find(
      ({ route, pattern }) => route.method === method.toUpperCase() && pattern.test(path),
    )?.route;
}
