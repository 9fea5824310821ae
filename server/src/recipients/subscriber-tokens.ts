import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { RecipientKey } from './reference.ts';

/** Somebody of an environment who can say what he wants to get. */
export type Subscriber = RecipientKey & { readonly environmentId: number };

/**
 * Signed tokens of links in messages: `<base64url of [environment, collection, id]>.<base64url of its HMAC-SHA256>`.
 * They do not expire: a link in an old mail has to work.
 */
export type SubscriberTokens = {
  readonly sign: (subscriber: Subscriber) => string;
  /** Undefined when it was not signed here. Takes the same time whatever is wrong with the signature. */
  readonly verify: (token: string) => Subscriber | undefined;
};

const MAX_TOKEN = 2_000;

/** Tokens with a key of their own, derived from the installation's secret: one purpose's are no good for another. */
export function createSubscriberTokens(
  installationSecret: string,
  purpose: 'unsubscribe' | 'preferences',
): SubscriberTokens {
  const key = Buffer.from(hkdfSync('sha256', installationSecret, '', `belfry/${purpose}`, 32));
  const signature = (subject: string): Buffer => createHmac('sha256', key).update(subject).digest();
  return {
    sign: ({ environmentId, collection, id }) => {
      const subject = Buffer.from(JSON.stringify([environmentId, collection, id])).toString(
        'base64url',
      );
      return `${subject}.${signature(subject).toString('base64url')}`;
    },
    verify: (token) => {
      const [subject = '', given = '', ...rest] = token.length > MAX_TOKEN ? [] : token.split('.');
      const expected = signature(subject);
      const bytes = Buffer.from(given, 'base64url');
      if (rest.length > 0 || bytes.length !== expected.length) return undefined;
      if (!timingSafeEqual(bytes, expected)) return undefined;
      const [environmentId, collection, id] = JSON.parse(
        Buffer.from(subject, 'base64url').toString(),
      ) as [number, string, string];
      return { environmentId, collection, id };
    },
  };
}
