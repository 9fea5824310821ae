/** Starts requests on a fixed timetable, whatever becomes of the earlier ones; latencies in ms, a late start included. */
export async function openLoop(
  send: () => Promise<void>,
  perSecond: number,
  seconds: number,
): Promise<number[]> {
  const latencies: number[] = [];
  const underWay: Promise<void>[] = [];
  const startedMs = performance.now();
  for (let i = 0; i < perSecond * seconds; i++) {
    const dueMs = startedMs + (i * 1_000) / perSecond;
    while (performance.now() < dueMs) await new Promise((resolve) => setTimeout(resolve, 1));
    underWay.push(
      send().then(() => {
        latencies.push(performance.now() - dueMs);
      }),
    );
  }
  await Promise.all(underWay);
  return latencies;
}
