/** `npm run bench -- NAME [--json]`: measures one thing and prints it with the machine and the limit. */

import { describeMachine } from '../src/drill/machine.ts';
import { accept } from './accept.ts';
import { api } from './api.ts';
import { batch } from './batch.ts';
import { bloat } from './bloat.ts';
import { blobs } from './blobs.ts';
import { broadcast } from './broadcast.ts';
import { conditions } from './conditions.ts';
import { crash } from './crash.ts';
import { depth } from './depth.ts';
import { engine } from './engine.ts';
import { fanOut } from './fan-out.ts';
import { feed } from './feed.ts';
import { flood } from './flood.ts';
import { idle } from './idle.ts';
import { latency } from './latency.ts';
import { logs } from './logs.ts';
import { shed } from './shed.ts';
import { sockets } from './sockets.ts';
import { steps } from './steps.ts';
import type { Bench } from './support/bench.ts';
import { printTable } from './support/table.ts';
import { timers } from './timers.ts';

const benches: { readonly [name: string]: Bench } = {
  accept,
  api,
  batch,
  bloat,
  blobs,
  broadcast,
  conditions,
  crash,
  depth,
  engine,
  'fan-out': fanOut,
  feed,
  flood,
  idle,
  latency,
  logs,
  shed,
  sockets,
  steps,
  timers,
};

const [name = '', ...flags] = process.argv.slice(2);
const bench = benches[name];
if (!bench) {
  process.stderr.write(
    `There is no benchmark "${name}". Use: npm run bench -- ${Object.keys(benches).join('|')} [--json] [--runs=N]\n`,
  );
  process.exit(2);
}
const options = new Map(
  flags.map((flag) => {
    const [key = '', value = 'true'] = flag.replace(/^--/, '').split('=');
    return [key, value];
  }),
);
const machine = describeMachine();
process.stderr.write(`${name} on ${machine}\n`);
const result = {
  bench: name,
  machine,
  ...(await bench((line) => process.stderr.write(`${line}\n`), options)),
};
process.stdout.write(options.has('json') ? `${JSON.stringify(result)}\n` : printTable(result));
process.exit('failed' in result && result.failed === true ? 1 : 0);
