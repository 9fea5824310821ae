// Started by tests: enters a control group, and leaves it.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { enterControlGroup } from '../../src/drill/control-group.ts';

const groups = (): string => {
  try {
    return readFileSync('/proc/self/cgroup', 'utf8');
  } catch {
    return '';
  }
};
/** Whether this is root in the root group of version 1, and may write there. */
const isWritable = (path: string): boolean => {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
};
const roots = ['/sys/fs/cgroup', '/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu,cpuacct'];
const before = groups();
const { is, leave } = await enterControlGroup();
const inside = groups();
const directory =
  roots.map((root) => `${root}/belfry-drill-${process.pid}`).find((path) => existsSync(path)) ??
  null;
await leave();
const mayMakeOne =
  /^\d+:cpu(,cpuacct)?:\/$/m.test(before) &&
  roots.some((root) => isWritable(`${root}/release_agent`));
console.log(JSON.stringify({ mayMakeOne, is, before, inside, after: groups(), directory }));
