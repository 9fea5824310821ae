import { hash, randomBytes } from 'node:crypto';

/** What kind of thing a key opens; the prefix of a generated one. */
export const keyPrefixes = {
  secret_live: 'sk_',
  secret_test: 'sk_test_',
  public_live: 'pk_',
  public_test: 'pk_test_',
  service: 'knock_st_',
  operator: 'bf_op_',
} as const;

export type KeyPrefix = (typeof keyPrefixes)[keyof typeof keyPrefixes];

/** A new key: 256 random bits after its prefix. */
export function generateKey(prefix: KeyPrefix): string {
  return prefix + randomBytes(32).toString('base64url');
}

/** What is stored of a key: sha-256, as lower-case hex. */
export function keyHash(key: string): string {
  return hash('sha256', key, 'hex');
}

/** What people may see of a key. */
export function keyHint(key: string): string {
  return key.slice(-4);
}
