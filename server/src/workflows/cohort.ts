/**
 * Where in [0, 100) a key stands in the experiment `salt`: always at the same place, and independent of where it
 * stands in others. A share of `p` per cent is every key below `p`.
 *
 * FNV-1a of 32 bits over UTF-16 code units, mixed by the finalizer of MurmurHash3 so that neighbouring keys are far apart.
 */
export function cohortPosition(salt: string, key: string): number {
  let hash = 0x811c9dc5;
  const text = `${salt}\u0000${key}`;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return ((hash >>> 0) / 2 ** 32) * 100;
}
