/** How an account is treated, from the mildest to the strictest. */
export const LEVELS = ['normal', 'noisy', 'surge', 'paused', 'reject'] as const;
export type Level = (typeof LEVELS)[number];

export function rankOf(level: Level): number {
  return LEVELS.indexOf(level);
}
