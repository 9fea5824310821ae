import { userInfo } from 'node:os';
import type { Command } from 'commander';

export type ByOptions = { readonly author?: string; readonly reason?: string };

/** Gives a command that changes something the options which say who does it and why. */
export function withByOptions(command: Command): Command {
  return command
    .option('--author <name>', 'who does it, for the audit log (the user of this machine)')
    .option('--reason <text>', 'why, for the audit log');
}

/** The fields of the request's body that say who does it and why. */
export function byFields({ author, reason }: ByOptions): { author: string; reason?: string } {
  return { author: author ?? localUser(), ...(reason === undefined ? {} : { reason }) };
}

function localUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as containers have them.
    return '';
  }
}
