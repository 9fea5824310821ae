const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * The variables of this process, for a child that lies where system programs do (mkfs.ext4, losetup): only a login shell
 * of root looks there; `su`, cron, services and CI often do not.
 */
export function withSystemPath(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, PATH: [env.PATH, ...SYSTEM_FOLDERS].filter(Boolean).join(':') };
}
