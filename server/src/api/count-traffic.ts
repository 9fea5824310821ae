import type { FastifyReply, FastifyRequest } from 'fastify';
import type { TrafficEvent } from '../ops/traffic.ts';
import { callerOf, isCanary } from './budget.ts';
import type { Services } from './services.ts';

type TriggerRequest = FastifyRequest<{ Params: { key: string } }>;

/** Counts an accepted trigger for whoever sent it. */
export function countTrigger(
  services: Pick<Services, 'traffic' | 'budgets' | 'clock' | 'canary'>,
  request: TriggerRequest,
  runs: number,
): void {
  if (isCanary(services, request)) return;
  const { traffic, budgets, clock } = services;
  const caller = callerOf(request.access);
  if (caller) budgets.accept.charge(caller, { runs }, clock.now());
  traffic.count({ ...senderOf(request), workflowKey: request.params.key, outcome: { runs } });
}

/** Counts triggers that are answered with an error, whoever refused them. */
export function countRefused(services: Pick<Services, 'traffic' | 'canary'>) {
  const { traffic } = services;
  return async (request: TriggerRequest, reply: FastifyReply): Promise<void> => {
    const { statusCode } = reply;
    if (statusCode < 400 || isCanary(services, request)) return;
    // A name that is no workflow's can be anything; it must not drive the others' out.
    const workflowKey = statusCode === 404 ? undefined : request.params.key.slice(0, 255);
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
