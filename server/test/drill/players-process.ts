// Started by tests: plays a flood against nobody, beside a metronome, until it is killed.
import { startMetronome } from '../../src/drill/metronome.ts';
import { startFlood } from '../../src/drill/stage.ts';

const flood = await startFlood(
  { url: 'http://127.0.0.1:1' },
  {
    secretKey: 'sk_test',
    publicKey: 'pk_test',
    channelId: '',
    workflowKey: 'digest',
    recipientPrefix: 'user',
    users: 1,
  },
);
const metronome = startMetronome();
const stalls = await metronome.stalls();
console.log(JSON.stringify({ flood: flood.pid, stalls }));
await flood.run({ name: 'flood', perSecond: 20, runs: 1, seconds: undefined, seed: 1 });
