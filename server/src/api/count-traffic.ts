import type { FastifyReply, FastifyRequest } from 'fastify';
import type { TrafficEvent } from '../ops/traffic.ts';
import { callerOf, isCanary } from './budget.ts';
import type { Services } from './services.ts';

/** Counts what was accepted of whoever sent it: a trigger, or a broadcast, whose runs are not known yet. */
export function countAccepted(
  services: Pick<Services, 'traffic' | 'budgets' | 'clock' | 'canary'>,
  request: FastifyRequest,
  { workflowKey, runs }: { readonly workflowKey: string; readonly runs: number },
): void {
  if (isCanary(services, request)) return;
  const { traffic, budgets, clock } = services;
  const caller = callerOf(request.access);
  if (caller) budgets.accept.charge(caller, { runs }, clock.now());
  traffic.count({ ...senderOf(request), workflowKey, outcome: { runs } });
}

/** Counts triggers and broadcasts that are answered with an error, whoever refused them. */
export function countRefused(services: Pick<Services, 'traffic' | 'canary'>) {
  const { traffic } = services;
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { statusCode } = reply;
    if (statusCode < 400 || isCanary(services, request)) return;
    // A name that is no workflow's can be anything; it must not drive the others' out.
    const { key } = request.params as { readonly key?: string };
    const workflowKey = statusCode === 404 ? undefined : key?.slice(0, 255);
    traffic.count({ ...senderOf(request), workflowKey, outcome: 'refused' });
  };
}

function senderOf({ access, headers, ip }: FastifyRequest) {
  const caller: TrafficEvent['caller'] =
    access?.kind === 'secret' || access?.kind === 'public'
      ? {
          accountId: access.environment.accountId,
          environmentId: access.environment.id,
          keyId: access.keyId,
          keyHint: access.keyHint,
        }
      : undefined;
  const bytes = Number(headers['content-length'] ?? 0);
  return {
    caller,
    sourceAddress: ip.startsWith('::ffff:') ? ip.slice(7) : ip,
    bytes: Number.isFinite(bytes) ? bytes : 0,
  };
}
