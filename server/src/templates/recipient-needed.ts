/** Rendering cannot go on without somebody who is not in memory. It is caught, loaded, and rendered again. */
export class RecipientNeeded extends Error {
  readonly want: Wanted;

  constructor(want: Wanted) {
    super(`the ${want.kind} of "${want.id}" in "${want.collection}" is needed`);
    this.name = 'RecipientNeeded';
    this.want = want;
  }
}

/** Somebody's properties, or the objects that somebody is subscribed to. */
export type Wanted = {
  readonly kind: 'recipient' | 'subscriptions';
  /** `$users`, `$tenants` or the collection of an object. */
  readonly collection: string;
  readonly id: string;
};
