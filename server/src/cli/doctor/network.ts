import { readdir, readFile, readlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename } from 'node:path';
import { isJsonObject } from '../../lib/json.ts';
import { type Check, fail, ok, reasonOf, warn } from './check.ts';

const ASK_MS = 5_000;

export type ServerFinding = {
  readonly checks: readonly Check[];
  /** A Belfry answered. */
  readonly answers: boolean;
  /** Its clock. */
  readonly date?: string;
};

/** Asks `/readyz` for each part; where something else answers, or nothing, says what has the port. */
export async function checkServer(origin: string): Promise<ServerFinding> {
  let response: Response;
  try {
    response = await fetch(`${origin.replace(/\/+$/, '')}/readyz`, {
      signal: AbortSignal.timeout(ASK_MS),
    });
  } catch (error) {
    return { answers: false, checks: [await checkPort(origin, error)] };
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (!isJsonObject(answer) || !isJsonObject(answer.parts)) {
    const owner = await portOwner(origin);
    return {
      answers: false,
      checks: [
        fail(
          'server',
          `${owner ?? 'Another program'} answers at ${origin}, and it is no Belfry.`,
          'Stop it, or set BELFRY_PORT to another port.',
        ),
      ],
    };
  }
  const checks = Object.entries(answer.parts).map(([name, part]) => partCheck(name, part));
  const date = response.headers.get('date');
  return {
    answers: true,
    checks: [ok('server', `A server answers at ${origin}.`), ...checks],
    ...(date === null ? {} : { date }),
  };
}

function partCheck(name: string, part: unknown): Check {
  const { state, reason } = isJsonObject(part) ? part : {};
  const title = `server: ${name}`;
  if (state === 'up') return ok(title, 'It is up.');
  const finding = `It is ${String(state)}${typeof reason === 'string' ? `: ${reason}` : ''}.`;
  if (state === 'silent') {
    return fail(title, finding, 'Look at GET /ops/v1/canary and at the log of the server.');
  }
  return state === 'down'
    ? fail(title, finding, 'The log of the server tells more; it tries again by itself.')
    : warn(title, finding, 'Wait a little and ask again.');
}

async function checkPort(origin: string, error: unknown): Promise<Check> {
  const owner = await portOwner(origin);
  if (owner !== undefined) {
    return fail(
      'server',
      `${owner} has the port of ${origin} and does not answer like a server (${reasonOf(error)}).`,
      'Stop it, or set BELFRY_PORT to another port.',
    );
  }
  return warn('server', `No server answers at ${origin}.`, 'Start one with npm start.');
}

/** Who listens on the port of a URL on this machine, as far as Linux tells this user. */
async function portOwner(origin: string): Promise<string | undefined> {
  const { port, protocol } = new URL(origin);
  const number = Number(port || (protocol === 'https:' ? 443 : 80));
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const hexPort = number.toString(16).toUpperCase().padStart(4, '0');
  // sl, local address, remote address, state (0A: listening), ..., inode as the tenth column.
  const inodes = tables
    .flatMap((text) => text.split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(`:${hexPort}`) && columns[3] === '0A')
    .map((columns) => `socket:[${columns[9]}]`);
  if (inodes.length === 0) return undefined;
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of processes) {
    if (await holdsSocket(pid, inodes)) {
      const program = await readlink(`/proc/${pid}/exe`).catch(() => '');
      return `Process ${pid} (${basename(program) || 'of another user'})`;
    }
  }
  return 'A process of another user';
}

async function holdsSocket(pid: string, inodes: readonly string[]): Promise<boolean> {
  const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(
    files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')),
  );
  return links.some((link) => inodes.includes(link));
}

/** A TCP connection to the mail server; nothing is said to it. */
export async function checkMailServer(smtpUrl: string | undefined): Promise<Check> {
  const name = 'e-mail';
  if (smtpUrl === undefined) {
    return ok(name, 'No mail server is set; e-mails go to the viewer at /dev/messages.');
  }
  const { hostname, port, protocol } = new URL(smtpUrl);
  const number = Number(port || (protocol === 'smtps:' ? 465 : 587));
  const place = `${hostname}:${number}`;
  try {
    await reach(hostname.replace(/^\[|\]$/g, ''), number);
    return ok(name, `The mail server at ${place} can be reached.`);
  } catch (error) {
    return fail(
      name,
      `The mail server at ${place} cannot be reached (${reasonOf(error)}); e-mails wait meanwhile.`,
      'Correct BELFRY_SMTP_URL, or let this machine through its firewall.',
    );
  }
}

function reach(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: ASK_MS });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${ASK_MS / 1_000} s`)));
    socket.once('error', reject);
  });
}
