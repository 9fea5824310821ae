import { createSecretBox } from '../../src/lib/secret-box.ts';

/** What seals and opens secret variables in tests. */
export const testSecrets = createSecretBox('the installation secret of a test');
