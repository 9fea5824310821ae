import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type Migration = {
  readonly number: number;
  readonly name: string;
  /** The previous release cannot run on the schema that this makes. */
  readonly breaking: boolean;
  /** sha-256 of the text, in hexadecimal. */
  readonly checksum: string;
  readonly sql: string;
};

const FILE_NAME = /^(\d{4})_([a-z0-9_]+)\.sql$/;

/** The migrations of a directory in order. A first line `-- breaking` marks a breaking one. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for (const file of (await readdir(directory)).sort()) {
    const match = FILE_NAME.exec(file);
    if (!match) {
      throw new Error(
        `${join(directory, file)} is not named like a migration (0001_what_it_does.sql)`,
      );
    }
    const number = Number(match[1]);
    if (migrations.at(-1)?.number === number) {
      throw new Error(`two migrations in ${directory} have the number ${number}; renumber ${file}`);
    }
    const sql = (await readFile(join(directory, file), 'utf8')).replaceAll('\r\n', '\n');
    migrations.push({
      number,
      name: match[2] ?? '',
      breaking: /^-- breaking\b/.test(sql),
      checksum: createHash('sha256').update(sql).digest('hex'),
      sql,
    });
  }
  return migrations;
}
