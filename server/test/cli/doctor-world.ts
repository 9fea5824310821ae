import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { belfry, type Environment, startBelfry, stopBelfry, temporaryDirectory } from './belfry.ts';

const examples = join(import.meta.dirname, '..', '..', '..', 'examples');

/** A server whose `doctor` is asked about the store beside it. */
export type DoctorWorld = {
  readonly db: TestDatabase['db'];
  /** For what a test writes. */
  readonly directory: string;
  /** What doctor says of the store, with these variables changed; undefined: nothing. */
  readonly diagnosis: (changes?: Environment) => Promise<object | undefined>;
  /** A mail about this comment is delivered, however the store does. */
  readonly expectDelivery: (comment: string) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** `store` is the name of its check, `env` the variables that configure it. */
export async function createDoctorWorld(store: string, env: Environment): Promise<DoctorWorld> {
  const database = await createTestDatabase();
  const directory = await temporaryDirectory();
  const { path } = directory;
  const server = await startBelfry({ DATABASE_URL: database.url, BELFRY_DATA_DIR: path, ...env });
  await belfry(['push', examples], server.env);
  return {
    db: database.db,
    directory: path,
    diagnosis: async (changes = {}) => {
      const { stdout } = await belfry(['doctor', '--json'], { ...server.env, ...changes });
      const { checks } = JSON.parse(stdout);
      return checks.find(({ name }: { readonly name: string }) => name === store);
    },
    expectDelivery: async (comment) => {
      const recipient = JSON.stringify({ id: `ann-${randomUUID()}`, email: 'a@example.com' });
      const data = JSON.stringify({ comment, page: 'Plan' });
      const args = ['run', 'new-comment', '--recipient', recipient, '--data', data];
      expect((await belfry(args, server.env)).stdout).toMatch(/email_1 {2}message delivered/);
    },
    close: async () => {
      await stopBelfry(server);
      await directory.remove();
      await database.drop();
    },
  };
}
