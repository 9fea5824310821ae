import { expect, test } from 'vitest';
import { operations } from './operations.ts';
import { responses } from './response-types.ts';
import { sdkMethods } from './sdk-methods.ts';
import { serverRoutes, shapeOf } from './server-routes.ts';

const routes = await serverRoutes();
const routeOf = (method: string, path: string) =>
  routes.find((route) => shapeOf(route.method, route.path) === shapeOf(method, path));

test('the contract has 118 operations, each once', () => {
  expect(new Set(operations.map(([method, path]) => shapeOf(method, path))).size).toBe(118);
});

test('the SDK calls exactly the operations that the list of the contract says', () => {
  const called = sdkMethods().map(({ name, method, path }) => `${name}: ${shapeOf(method, path)}`);
  const listed = operations.flatMap(([method, path, name]) =>
    name === null ? [] : [`${name}: ${shapeOf(method, path)}`],
  );
  expect(called.sort()).toEqual(listed.sort());
});

test('every operation of the contract has a route', () => {
  expect(operations.filter(([method, path]) => !routeOf(method, path))).toEqual([]);
});

test('every operation has its answer in the type test', () => {
  const names = operations.map(([method, path]) => `${method} ${path}`);
  expect(Object.keys(responses).sort()).toEqual(names.sort());
});

test('the answer in the type test is the one that the route declares', () => {
  const wrong = operations.filter(([method, path]) => {
    const route = routeOf(method, path);
    if (!route) return false;
    const listed = new Map<string, unknown>(Object.entries(responses)).get(`${method} ${path}`);
    const declared = Object.values(route.answers);
    return declared.length !== 1 || JSON.stringify(declared[0]) !== JSON.stringify(listed);
  });
  expect(wrong).toEqual([]);
});
