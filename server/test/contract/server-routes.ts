import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TSchema } from 'typebox';
import { createApp } from '../../src/api/app.ts';
import { routes } from '../../src/api/routes/index.ts';
import type { Services } from '../../src/api/services.ts';

/** One endpoint of the server as its route declares it. */
export type ServerRoute = {
  readonly method: string;
  /** With parameters in braces: `/v1/users/{user_id}`. */
  readonly path: string;
  /** In `server/src/api/routes`. */
  readonly file: string;
  readonly access: string;
  /** Pages and what else is not part of the documented API. */
  readonly hidden: boolean;
  readonly body: TSchema | undefined;
  readonly query: TSchema | undefined;
  /** Of the good answers, by status. */
  readonly answers: { readonly [status: string]: TSchema };
};

const FOLDER = join(import.meta.dirname, '..', '..', 'src', 'api', 'routes');

/** Every endpoint that has a schema. */
export async function serverRoutes(): Promise<ServerRoute[]> {
  const files = filesOfRoutes();
  const found: ServerRoute[] = [];
  for (const register of routes) {
    // Routes only remember their services until a request comes, and none does here.
    const services = {} as Services;
    const app = createApp(services);
    app.addHook('onRoute', ({ method, url, schema, config }) => {
      if (schema === undefined) return;
      const {
        '4xx': _,
        '5xx': __,
        ...answers
      } = (schema.response ?? {}) as Record<string, TSchema>;
      for (const each of [method].flat()) {
        found.push({
          method: each,
          path: url.replaceAll(/:(\w+)/g, '{$1}'),
          file: files.get(register.name) ?? '',
          access: config?.access ?? 'secret',
          hidden: schema.hide === true,
          body: schema.body as TSchema | undefined,
          query: schema.querystring as TSchema | undefined,
          answers,
        });
      }
    });
    register(app, services);
    await app.ready();
    await app.close();
  }
  return found;
}

/** A path whatever its parameters are called: `GET /v1/users/{}`. */
export function shapeOf(method: string, path: string): string {
  return `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`;
}

/** The file that each function of the list of routes comes from. */
function filesOfRoutes(): ReadonlyMap<string, string> {
  const index = readFileSync(join(FOLDER, 'index.ts'), 'utf8');
  const imports = index.matchAll(/import \{ (\w+) \} from '\.\/([\w-]+\.ts)'/g);
  return new Map([...imports].map(([, name = '', file = '']) => [name, file]));
}
