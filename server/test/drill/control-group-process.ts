// Started by tests: enters a control group, and leaves it.
import { existsSync, readFileSync } from 'node:fs';
import { enterControlGroup } from '../../src/drill/control-group.ts';

const groups = (): string => {
  try {
    return readFileSync('/proc/self/cgroup', 'utf8');
  } catch {
    return '';
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
console.log(JSON.stringify({ is, before, inside, after: groups(), directory }));
