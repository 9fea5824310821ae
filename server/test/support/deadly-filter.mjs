// Loaded into executors by a test: hashing the text "DIE" ends the process without a word, as running
// out of memory would.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const { createHash } = crypto;
crypto.createHash = (...options) => {
  const hash = createHash(...options);
  const update = hash.update.bind(hash);
  hash.update = (text, ...rest) => {
    if (text === 'DIE') process.kill(process.pid, 'SIGKILL');
    return update(text, ...rest);
  };
  return hash;
};
syncBuiltinESMExports();
