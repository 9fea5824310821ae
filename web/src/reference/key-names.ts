import type { KeyKind } from './api-document.ts';

/** What each kind of key is called in a sentence. */
export const keyNames: { readonly [kind: KeyKind]: string } = {
  secretKey: 'a secret key',
  publicKey: 'a public key',
  serviceToken: 'a service token',
  operatorToken: 'an operator token',
};

/** What keys of the kind begin with. */
export const keyPrefixes: { readonly [kind: KeyKind]: string } = {
  secretKey: 'sk_',
  publicKey: 'pk_',
  serviceToken: 'knock_st_',
  operatorToken: 'bf_op_',
};
