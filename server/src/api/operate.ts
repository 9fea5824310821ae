import type { FastifyRequest } from 'fastify';
import type { Json, JsonObject } from '../lib/json.ts';
import type { ItemOperation } from '../operations/kinds.ts';
import { type NewOperation, newOperation } from '../operations/new-operation.ts';
import { operationAnswer } from '../operations/operation.ts';
import { environmentContext } from './access.ts';
import type { Services } from './services.ts';

/** Begins an operation on items; what is answered, after its commit. */
export function operate(
  services: Services,
  request: FastifyRequest,
  asked: {
    readonly name: ItemOperation;
    readonly input: JsonObject;
    readonly items: readonly Json[];
  },
): Promise<object> {
  return beginOperation(services, newOperation(environmentContext(services, request), asked));
}

/** Begins an operation of any kind. */
export async function beginOperation(services: Services, asked: NewOperation): Promise<object> {
  if (!services.engine.operate) throw new Error('this server works on no bulk operations');
  await services.engine.operate(asked);
  return operationAnswer(asked.operation);
}
