/** Why a store did not do what it was asked, by what to do about it. */
export type StoreErrorKind =
  /** It limits the rate: later, and less. */
  | 'throttled'
  /** It cannot be reached, hangs, or fails: later. */
  | 'unavailable'
  /** It says no, and will until somebody changes something: bucket, secret, clock. */
  | 'refused'
  /** The object does not exist. */
  | 'missing'
  /** What it answered is not what was stored. */
  | 'damaged';

/** A request that an object store did not fulfil. `code` is the store's own, as `NoSuchBucket`, or the system's. */
export class StoreError extends Error {
  readonly kind: StoreErrorKind;
  readonly code: string;

  constructor(kind: StoreErrorKind, code: string, message: string) {
    super(message);
    this.name = 'StoreError';
    this.kind = kind;
    this.code = code;
  }
}

/** Bytes of an object: from the first one's offset, how many. */
export type ByteRange = { readonly at: number; readonly bytes: number };

/**
 * Objects by key in one bucket. Each call is one request, at most once, with a time limit of its own; throws a
 * `StoreError`.
 */
export type ObjectStore = {
  /** Overwrites what is there. */
  readonly put: (key: string, body: Buffer) => Promise<void>;
  /** The whole object, or exactly the range. */
  readonly get: (key: string, range?: ByteRange) => Promise<Buffer>;
  /** At most `MAX_DELETED` keys; those that do not exist count as deleted. */
  readonly delete: (keys: readonly string[]) => Promise<void>;
  /** Writes, reads and deletes a small object, and asks for it again, so that a wrong setting is found before anything depends on it. */
  readonly check: () => Promise<void>;
  /** Where an object is, for people: `s3://bucket/key`. */
  readonly placeOf: (key: string) => string;
  readonly close: () => void;
};

/** Keys of one request of `delete`: the limit of the S3 API. */
export const MAX_DELETED = 1_000;

/** Where the store is; credentials come from the SDK's own chain (environment, instance role). */
export type ObjectStoreConfig = {
  readonly bucket: string;
  /** Of every key; ends with a slash, or is empty. */
  readonly prefix: string;
  /** Absent: AWS. */
  readonly endpoint: string | undefined;
  readonly region: string;
};
