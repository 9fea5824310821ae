import { expect, test } from 'vitest';
import { sharedBuffers } from '../../src/db/embedded/settings.ts';

const GIB = 1024 ** 3;

test.each([
  [0.5, '64MB'],
  [1, '64MB'],
  [2, '128MB'],
  [4, '256MB'],
  [8, '512MB'],
  [16, '1024MB'],
  [64, '1024MB'],
])('the database of a machine with %d GiB keeps pages in %s', (gib, buffers) => {
  expect(sharedBuffers(gib * GIB)).toBe(buffers);
});
