import { CliError } from './result.ts';

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** Seconds of `90s`, `30m`, `2h` or `7d`. */
export function parseDuration(flag: string, text: string): number {
  const [, digits, unit] = /^(\d{1,7})([smhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * SECONDS[unit as keyof typeof SECONDS];
  if (seconds > 0) return seconds;
  throw new CliError('usage', `${flag} is "${text}"; write a time such as 90s, 30m, 2h or 7d.`);
}

/** `45 s`, `12 min`, `24 h` or `7 d`: the largest unit of which there are two, or that it is exactly. */
export function durationText(seconds: number): string {
  const rounded = Math.max(0, Math.round(seconds));
  const fits = (unit: number) => rounded >= 2 * unit || (rounded >= unit && rounded % unit === 0);
  if (rounded >= 2 * SECONDS.d) return `${Math.round(rounded / SECONDS.d)} d`;
  if (fits(SECONDS.h)) return `${Math.round(rounded / SECONDS.h)} h`;
  if (fits(SECONDS.m)) return `${Math.round(rounded / SECONDS.m)} min`;
  return `${rounded} s`;
}

/** How long ago, for example `12 min`. */
export function ageText(iso: string, nowMs: number): string {
  return durationText((nowMs - Date.parse(iso)) / 1_000);
}
