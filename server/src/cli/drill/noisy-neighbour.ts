import { noisyNeighbour } from '../../drill/noisy-neighbour.ts';
import { incidentPlan, rehearsalPlan } from '../../drill/plan.ts';
import type { StoreOptions } from '../../drill/stores.ts';
import { drillView, timelineLine } from '../drill-view.ts';
import { startProgress } from '../progress.ts';
import { CliError, type CommandResult } from '../result.ts';
import type { CommandContext } from '../run-command.ts';
import { createStyle } from '../style.ts';

const MOST_MINUTES = 240;
/** The rehearsal's length, for its progress. */
const REHEARSAL_MINUTES = 0.9;

/** 128 and the number of SIGINT. */
const INTERRUPTED = 130;

export type DrillOptions = {
  readonly minutes?: string;
  readonly rehearsal?: boolean;
  readonly objectStore?: boolean;
  readonly logStore?: boolean;
  readonly fullDisk?: boolean;
  readonly json?: boolean;
};

/** Plays it, telling what happens meanwhile. Ends the process when it is interrupted. */
export async function play(ctx: CommandContext, options: DrillOptions): Promise<CommandResult> {
  const minutes = options.rehearsal ? REHEARSAL_MINUTES : minutesOf(options.minutes);
  const style = createStyle(process.stderr.isTTY && ctx.config.colours);
  const interruption = interruptible();
  const progress = startProgress(process.stderr, minutes * 60_000);
  try {
    const report = await noisyNeighbour({
      plan: options.rehearsal ? rehearsalPlan : incidentPlan(minutes),
      judgeSpeed: !options.rehearsal,
      stores: storesOf(options),
      env: ctx.env,
      tell: (event) => {
        // Text has the timeline at its end.
        if (ctx.json && !process.stderr.isTTY) ctx.say(timelineLine(event, style));
        progress.show(event.what);
      },
      signal: interruption.signal,
    });
    return {
      json: report,
      text: (textStyle) => drillView(report, textStyle),
      failed: report.missed.length > 0,
    };
  } catch (error) {
    progress.end();
    if (!interruption.signal.aborted) throw error;
    ctx.say('Interrupted; the scratch server and its data are removed.');
    // Others still wait for a server that is gone.
    process.exit(INTERRUPTED);
  } finally {
    progress.end();
  }
}

function storesOf(options: DrillOptions): StoreOptions | undefined {
  const { objectStore = false, logStore = false, fullDisk = false } = options;
  if (!objectStore && !logStore && !fullDisk) return undefined;
  return { objectStore, logStore, fullDisk: fullDisk ? 'must' : 'where possible' };
}

/** Aborted by the first signal; a second one ends the process at once and leaves the data dir behind. */
function interruptible(): AbortController {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => interruption.abort());
  }
  return interruption;
}

function minutesOf(text: string | undefined): number {
  const minutes = Number(text);
  if (minutes >= 1 && minutes <= MOST_MINUTES) return minutes;
  throw new CliError(
    'usage',
    `--minutes is ${JSON.stringify(text)}: name a number from 1 to ${MOST_MINUTES}`,
  );
}
