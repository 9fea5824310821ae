import { figureNames, type Goal } from '../drill/figures.ts';
import type { DrillReport } from '../drill/noisy-neighbour.ts';
import { rounded } from '../drill/statistics.ts';
import type { TimelineEvent } from '../drill/timeline.ts';
import type { Style } from './style.ts';
import { type Cell, printable, table } from './table.ts';

const STALL_COLUMNS = ['STALLS', 'STALLED MS', 'AWAKE P99'] as const;

/** `06:12:03 UTC  +12.4 s  what happened`, and under it what an operator sees. */
export function timelineLine(event: TimelineEvent, style: Style): string {
  const { at, flood_s: floodSeconds, what, operator_sees: sees } = event;
  const since =
    floodSeconds === null ? '' : `${floodSeconds >= 0 ? '+' : ''}${floodSeconds.toFixed(1)} s`;
  const line = `${at.slice(11, 19)} UTC  ${since.padStart(9)}  ${printable(what)}`;
  return sees === '' ? line : `${line}\n${' '.repeat(25)}${style.dim(printable(sees))}`;
}

/** The whole report for a person: timeline, figures, what the neighbours felt. */
export function drillView(report: DrillReport, style: Style): string {
  const { details, missed } = report;
  const verdict =
    missed.length === 0
      ? style.green('Every goal is reached.')
      : style.red(`${missed.length} ${missed.length === 1 ? 'goal is' : 'goals are'} missed.`);
  return [
    style.bold(`noisy-neighbour on ${report.machine}, ${report.started_at.slice(0, 10)}`),
    '',
    ...report.timeline.map((event) => timelineLine(event, style)),
    '',
    figuresTable(report, style),
    '',
    `p99 ratio with 95 % confidence below ${details.neighbours_p99_ratio_upper_95}; ${details.ledger}.`,
    '',
    phasesTable(report, style),
    '',
    ...awakeLines(report),
    '',
    ...sentLines(report),
    '',
    verdict,
  ].join('\n');
}

function figuresTable({ figures, goals, missed }: DrillReport, style: Style): string {
  return table(
    style,
    ['WHAT', 'GOAL', 'REACHED'],
    figureNames(goals).map((name): Cell[] => {
      const goal = goals[name];
      const reached = figures[name]?.toLocaleString('en') ?? 'not measured';
      return [
        goal?.what ?? name,
        goal ? goalText(goal) : '',
        missed.includes(name) ? { text: reached, mark: style.red } : reached,
      ];
    }),
  );
}

function goalText({ bound, value }: Goal): string {
  return bound === 'reported' ? 'reported' : `${bound} ${value.toLocaleString('en')}`;
}

function phasesTable({ details }: DrillReport, style: Style): string {
  return table(
    style,
    ['NEIGHBOURS DURING', 'TRIGGERS', 'P50 MS', 'P99 MS', 'MAX MS', 'REFUSED', ...STALL_COLUMNS],
    Object.entries(details.phases).map(([name, phase]) => [
      name,
      String(phase.triggers),
      ...[phase.p50_ms, phase.p99_ms, phase.max_ms].map((ms) => ms.toFixed(1)),
      String(phase.refused),
      phase.machine_stalls === null ? '-' : String(phase.machine_stalls),
      phase.machine_stalled_ms === null ? '-' : String(phase.machine_stalled_ms),
      phase.awake_p99_ms === null ? '-' : phase.awake_p99_ms.toFixed(1),
    ]),
  );
}

/** What the columns of stalls are, and the ratios without them. */
function awakeLines({ details }: DrillReport): string[] {
  if (Object.values(details.phases).every((phase) => phase.machine_stalls === null))
    return ['This system does not tell whether the machine itself stood still.'];
  const ratio = details.neighbours_p99_ratio_awake ?? 'not measured';
  const worst = details.neighbours_worst_p99_ratio_awake ?? 'not measured';
  return [
    'STALLS: the machine itself stood still, with every process on it, while its hypervisor served others.',
    `Without the triggers that were under way then the p99 ratio is ${ratio}, of the worst account ${worst}; these judge nothing.`,
  ];
}

/** How much of the flood this machine could offer to the server beside it. */
function sentLines({ details }: DrillReport): string[] {
  return [
    'Of the flood’s triggers that were due, so many were really sent:',
    ...Object.entries(details.flood_sent).map(
      ([phase, { due, sent, share }]) =>
        `  ${phase}: ${sent.toLocaleString('en')} of ${due.toLocaleString('en')}, ${rounded(share * 100)} %`,
    ),
  ];
}
