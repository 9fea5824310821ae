import { chown, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StartError } from '../start-error.ts';
import { ask } from './process.ts';

/** Whom the server's processes run as. */
export type ServerUser = {
  /** The command line and options that run a program as this user. */
  readonly command: (program: string, args: readonly string[]) => Command;
  /** Gives a file or directory of ours to this user. */
  readonly own: (path: string) => Promise<void>;
};

export type Command = {
  readonly program: string;
  readonly args: readonly string[];
  readonly options: { readonly uid?: number; readonly gid?: number };
};

type Identity = { readonly uid: number; readonly gid: number };

/**
 * PostgreSQL refuses to run as root. For root it runs as the owner of its data, else as the system
 * user postgres, else as nobody; for anybody else as himself.
 *
 * Where that user cannot reach the program or the data, because a checkout lies under /root, it
 * keeps the one capability that lets it through (setpriv is part of every Debian).
 */
export async function chooseServerUser(input: {
  readonly clusterDir: string;
  readonly reach: readonly string[];
}): Promise<ServerUser> {
  if (process.getuid?.() !== 0) {
    await refuseForeignData(input.clusterDir);
    return {
      command: (program, args) => ({ program, args, options: {} }),
      own: async () => {},
    };
  }
  const identity = await identityForRoot(input.clusterDir);
  const reachable = await canReachAll(input.reach, identity);
  if (!reachable && !(await ask('setpriv', ['--version']))) {
    throw new StartError(
      `Started by root, PostgreSQL runs as user ${identity.uid}, who cannot reach ` +
        `${input.reach.join(' and ')}, and setpriv is missing. Install util-linux, or put both ` +
        'where everybody may enter (BELFRY_DATA_DIR=/var/lib/belfry), or do not start as root.',
    );
  }
  return {
    command: (program, args) =>
      reachable ? { program, args, options: identity } : withCapability(program, args, identity),
    own: (path) => chown(path, identity.uid, identity.gid),
  };
}

function withCapability(program: string, args: readonly string[], identity: Identity): Command {
  return {
    program: 'setpriv',
    args: [
      `--reuid=${identity.uid}`,
      `--regid=${identity.gid}`,
      '--clear-groups',
      // Else access(2), by which programs ask before they act, would forget the capability.
      '--securebits=+no_setuid_fixup',
      '--inh-caps=-all,+dac_override',
      '--ambient-caps=-all,+dac_override',
      program,
      ...args,
    ],
    options: {},
  };
}

async function identityForRoot(clusterDir: string): Promise<Identity> {
  const owner = await stat(clusterDir).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  for (const name of ['postgres', 'nobody']) {
    const uid = await ask('id', ['-u', name]);
    const gid = await ask('id', ['-g', name]);
    if (uid === undefined || gid === undefined) continue;
    const identity = { uid: Number(uid), gid: Number(gid) };
    // A backup that root restored belongs to root.
    if (owner) await ask('chown', ['-R', `${uid}:${gid}`, clusterDir]);
    return identity;
  }
  throw new StartError(
    'PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody to run it as; ' +
      'start Belfry as an ordinary user, or set DATABASE_URL.',
  );
}

async function refuseForeignData(clusterDir: string): Promise<void> {
  const owner = await stat(clusterDir).catch(() => undefined);
  const uid = process.getuid?.();
  if (owner && uid !== undefined && owner.uid !== uid) {
    throw new StartError(
      `The database in ${clusterDir} belongs to user ${owner.uid}, not to you (${uid}): it was first ` +
        `started by somebody else. Start as that user or as root, or \`chown -R ${uid}\` it, or set BELFRY_DATA_DIR.`,
    );
  }
}

async function canReachAll(paths: readonly string[], identity: Identity): Promise<boolean> {
  for (const path of paths) {
    for (let at = path; ; at = dirname(at)) {
      const { mode, uid, gid } = await stat(at);
      const shift = uid === identity.uid ? 6 : gid === identity.gid ? 3 : 0;
      if (((mode >> shift) & 1) === 0) return false;
      if (at === dirname(at)) break;
    }
  }
  return true;
}
