import { Type } from 'typebox';
import { parseCollection, parseId, type RecipientKey, USERS } from '../../recipients/reference.ts';
import type { AccessRule } from '../access.ts';

/**
 * What differs between the endpoints of users and those of objects, which are otherwise the same:
 * preferences and channel data.
 */
export type RecipientOwner = {
  /** The path of the recipient. */
  readonly path: string;
  readonly tag: string;
  /** The parameters in `path`. */
  readonly params: { readonly [name: string]: ReturnType<typeof Type.String> };
  /** A browser may do it for its own user. */
  readonly access: AccessRule;
  /** For what a user token may grant on objects too. */
  readonly grantedAccess: AccessRule;
  readonly key: (params: { readonly [name: string]: string }) => RecipientKey;
};

export const recipientOwners: readonly RecipientOwner[] = [
  {
    path: '/v1/users/:user_id',
    tag: 'Users',
    params: { user_id: Type.String() },
    access: 'public',
    grantedAccess: 'public',
    key: (params) => ({ collection: USERS, id: parseId(params.user_id, 'user_id') }),
  },
  {
    path: '/v1/objects/:collection/:object_id',
    tag: 'Objects',
    params: { collection: Type.String(), object_id: Type.String() },
    access: 'secret',
    grantedAccess: 'granted',
    key: (params) => ({
      collection: parseCollection(params.collection, 'collection'),
      id: parseId(params.object_id, 'object_id'),
    }),
  },
];
