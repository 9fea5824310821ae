import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { By } from '../accounts/audit.ts';
import { invalidField } from '../lib/errors.ts';

/** Fields of every operator's request that the audit log remembers. */
export const byFields = {
  author: Type.Optional(
    Type.String({ description: 'Who asks, where the operator token has no name of its own.' }),
  ),
  reason: Type.Optional(Type.String({ description: 'Why, for the audit log.' })),
};

/** The names that tokens get when nobody names them. */
const NAMELESS = new Set(['', 'default', 'created']);

const AUTHOR_CHARACTERS = 100;
const REASON_CHARACTERS = 1_000;

/**
 * Who asks: the name of the operator's token, which nobody else can use; else the name that the request
 * gives, with the token that vouches for it.
 */
export function requestBy(
  request: FastifyRequest,
  given: { readonly author?: string; readonly reason?: string } = {},
): By {
  const { access } = request;
  if (access?.kind !== 'operator') throw new Error('only an operator acts on what is queued');
  const author = bounded('author', given.author, AUTHOR_CHARACTERS);
  const reason = bounded('reason', given.reason, REASON_CHARACTERS);
  if (!NAMELESS.has(access.name)) return { author: access.name, reason };
  const token = `operator_${access.tokenId}`;
  return { author: author === '' ? token : `${author} (${token})`, reason };
}

function bounded(field: string, text: string | undefined, limit: number): string {
  const given = text?.trim() ?? '';
  if (given.length > limit) throw invalidField(field, `may have ${limit} characters at the most`);
  return given;
}
