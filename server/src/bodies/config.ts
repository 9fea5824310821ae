import type { ObjectStoreConfig } from './object-store.ts';

/** What the configuration says of the object store. */
export type BodiesConfig = ObjectStoreConfig & {
  /** Contents of at least so many bytes leave the database. */
  readonly minBytes: number;
  /** Size of the ring from which on contents stay in their messages. */
  readonly backlogBytes: number;
};
