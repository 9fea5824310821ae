import type { Stage } from './stage.ts';

/** The parts that `/readyz` calls anything but up; undefined when it answers 200. */
export async function unreadyParts(stage: Stage): Promise<string | undefined> {
  const response = await fetch(`${stage.server.url}/readyz`);
  const { parts } = (await response.json()) as {
    readonly parts: Readonly<Record<string, { readonly state: string }>>;
  };
  if (response.status === 200) return undefined;
  const down = Object.entries(parts).filter(([, { state }]) => state !== 'up');
  return `/readyz: ${response.status}, ${down.map(([name, { state }]) => `${name} ${state}`).join(', ')}`;
}

export async function isReady(stage: Stage): Promise<boolean> {
  return (await unreadyParts(stage)) === undefined;
}
