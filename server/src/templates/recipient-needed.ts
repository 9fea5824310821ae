/** Rendering needs somebody who is not in memory. They are loaded, and the template is rendered again. */
export class RecipientNeeded extends Error {
  readonly wants: readonly Wanted[];

  constructor(wants: readonly Wanted[]) {
    super('the templates look up too many recipients, or one by another too often');
    this.name = 'RecipientNeeded';
    this.wants = wants;
  }
}

/** Somebody's properties, or the objects that somebody is subscribed to. */
export type Wanted = {
  readonly kind: 'recipient' | 'subscriptions';
  /** `$users`, `$tenants` or the collection of an object. */
  readonly collection: string;
  readonly id: string;
};
