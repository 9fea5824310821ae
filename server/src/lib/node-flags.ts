/**
 * Flags of the Node that runs a server or an executor. 8 MB for each half of the young generation: with V8's own 16 a
 * collection stopped a process for 10 to 30 ms, mostly to touch pages that the system had to clear first, and each process held
 * 80 MB more. Half as much again costs a tenth more processor time under load.
 *
 * The old generation may double before it is collected. V8 decides from the rate of allocation, and collected the
 * server's 43 MB again after each 7 MB: under load every seven seconds, with threads beside on all cores, and each time
 * everybody's next 50 ms were late (docs/decisions/0030).
 *
 * One thread beside helps to collect. V8's own four, on two cores, took three times the processor time of one to mark the same
 * heap, and whatever else was to run stood in line with all of them (docs/decisions/0032).
 */
export const NODE_FLAGS: readonly string[] = [
  '--max-semi-space-size=8',
  '--heap-growing-percent=100',
  '--v8-pool-size=1',
];
