import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { closedPort } from '../cli/belfry.ts';
import { ensurePrograms } from './debian-programs.ts';
import { waitFor } from './wait.ts';

const run = promisify(execFile);

const PROGRAMS = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph'];
const PACKAGES = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-mgr', 'ceph-common'];
const BOOT_MS = 120_000;

/** A real object store with the S3 API: Ceph's gateway over one monitor and one store in memory. */
export type Radosgw = {
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Another gateway over the same objects, with more options: `--rgw_max_concurrent_requests=1`. */
  readonly startGateway: (...options: readonly string[]) => Promise<{ readonly url: string }>;
  readonly close: () => Promise<void>;
};

/** Installs the packages where root may. Throws a sentence with the command where they are missing. */
export async function startRadosgw(): Promise<Radosgw> {
  await ensurePrograms(PROGRAMS, PACKAGES);
  const directory = await mkdtemp(join(tmpdir(), 'belfry-ceph-'));
  const children: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    for (const child of children.reverse()) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'))
        await ended;
    }
    await rm(directory, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    return { ...(await boot(directory, children)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function boot(directory: string, children: ChildProcess[]): Promise<Omit<Radosgw, 'close'>> {
  const path = (name: string): string => join(directory, name);
  for (const name of ['run', 'log', 'mon', 'osd']) await mkdir(path(name));
  const conf = path('ceph.conf');
  const fsid = randomUUID();
  const osdId = randomUUID();
  const monitor = `v1:127.0.0.1:${await closedPort()}`;
  await writeFile(conf, configuration(directory, fsid, monitor));
  const outputs = new Map<ChildProcess, string>();
  const start = async (program: string, ...args: readonly string[]): Promise<void> => {
    const outputPath = path(`log/${program}-${children.length}.out`);
    const output = await open(outputPath, 'w');
    const child = spawn(program, ['-c', conf, ...args, '-f'], {
      stdio: ['ignore', output.fd, output.fd],
    });
    await output.close();
    children.push(child);
    outputs.set(child, outputPath);
  };
  const checkChildren = async (): Promise<void> => {
    for (const [child, outputPath] of outputs) {
      if (child.exitCode === null && child.signalCode === null) continue;
      throw new Error(`${child.spawnfile} ended: ${await readFile(outputPath, 'utf8')}`);
    }
  };
  const ceph = (...args: readonly string[]) =>
    run('ceph', ['-c', conf, '--connect-timeout', '5', ...args]);
  const answers = (what: string, probe: () => Promise<boolean>) =>
    waitFor(
      what,
      async () => {
        await checkChildren();
        return (await probe().catch(() => false)) ? true : undefined;
      },
      BOOT_MS,
    );

  const map = path('monmap');
  await run('monmaptool', [
    '--create',
    '--clobber',
    '--fsid',
    fsid,
    '--addv',
    'a',
    `[${monitor}]`,
    map,
  ]);
  await run('ceph-mon', ['-c', conf, '--mkfs', '-i', 'a', '--monmap', map]);
  await start('ceph-mon', '-i', 'a');
  await answers('the monitor', async () => (await ceph('-s')).stdout !== '');
  // With the same id in both places; with another the store stays "booting" for ever.
  await ceph('osd', 'new', osdId);
  await run('ceph-osd', ['-c', conf, '-i', '0', '--mkfs', '--osd-uuid', osdId]);
  await start('ceph-osd', '-i', '0');
  await ceph('osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=localhost');
  await answers('the store', async () => (await ceph('osd', 'stat')).stdout.includes('1 up'));

  const startGateway = async (...options: readonly string[]): Promise<{ readonly url: string }> => {
    const port = await closedPort();
    const frontend = `--rgw_frontends=beast endpoint=127.0.0.1:${port}`;
    await start('radosgw', '-n', 'client.rgw.a', frontend, ...options);
    const url = `http://127.0.0.1:${port}`;
    await answers('the gateway', async () => (await fetch(url)).status > 0);
    return { url };
  };
  const { url } = await startGateway();
  const keys = { accessKeyId: 'AKTEST', secretAccessKey: 'SKTEST' };
  await run('radosgw-admin', [
    ...['-c', conf, '-n', 'client.rgw.a', 'user', 'create', '--uid=t', '--display-name=t'],
    ...[`--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`],
  ]);
  return { url, ...keys, startGateway };
}

// Of what a store tells the monitor of its class and place as it starts the answer is now and then "wrong fsid", and it ends: it
// asks before it knows the monitor. Its place is set by `crush add`.
function configuration(directory: string, fsid: string, monitor: string): string {
  return `[global]
fsid = ${fsid}
mon_initial_members = a
mon_host = ${monitor}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 2
ms_bind_msgr2 = false
run_dir = ${directory}/run
admin_socket = ${directory}/run/$name.$pid.asok
pid_file = ${directory}/run/$name.$pid.pid
log_file = ${directory}/log/$name.$pid.log
osd_objectstore = memstore
osd_class_update_on_start = false
osd_crush_update_on_start = false
memstore_device_bytes = 2147483648
osd_memory_target = 939524096
debug_ms = 0
[mon.a]
mon_data = ${directory}/mon
host = localhost
[osd.0]
osd_data = ${directory}/osd
[client.rgw.a]
rgw_thread_pool_size = 32
rgw_dns_name = localhost
rgw_enable_usage_log = false
`;
}
