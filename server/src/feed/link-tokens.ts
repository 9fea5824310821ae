import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';

/** What a tracked link, or the picture that says that a mail was opened, is about. */
export type Tracked = {
  readonly messageUuid: string;
  /** Where the link leads; absent: it is the picture. */
  readonly url?: string;
};

/**
 * Tokens in the URLs of tracked links: message and target, encrypted and authenticated, so that nothing of either can
 * be read or changed. They do not expire: a link in an old mail has to work, also when its message is gone.
 */
export type LinkTokens = {
  /** The same for the same link, so that each attempt sends the same. Undefined for a URL that is too long. */
  readonly sign: (tracked: Tracked) => string | undefined;
  /** Undefined when it was not made here, is cut off or changed. */
  readonly read: (token: string) => Tracked | undefined;
  /** Ten characters for a link in a text message, whose target is kept beside it. */
  readonly shortKey: (tracked: Tracked) => string;
};

export const CLICK_PATH = '/t/c';
export const OPEN_PATH = '/t/o';
export const SHORT_PATH = '/l';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const UUID_BYTES = 16;
const SHORT_LENGTH = 10;
/** The token has to fit into a segment of a path. */
const MAX_URL_BYTES = 2_500;
const MAX_TOKEN = 4_000;

/**
 * Tokens with keys of their own, derived from the installation's secret. A token is base64url of nonce, tag and cipher
 * text of the UUID's bytes and the URL; the nonce is an HMAC of them, as in a synthetic IV (RFC 5297).
 */
export function createLinkTokens(installationSecret: string): LinkTokens {
  const derived = (name: string) =>
    Buffer.from(hkdfSync('sha256', installationSecret, '', `belfry/${name}`, 32));
  const key = derived('links');
  const nonceKey = derived('links/nonce');
  const shortKey = derived('links/short');
  const hmac = (by: Buffer, bytes: Buffer) => createHmac('sha256', by).update(bytes).digest();
  return {
    sign: (tracked) => {
      const plain = bytesOf(tracked);
      if (plain.length > UUID_BYTES + MAX_URL_BYTES) return undefined;
      const nonce = hmac(nonceKey, plain).subarray(0, NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url');
    },
    read: (token) => {
      if (token.length > MAX_TOKEN || !/^[\w-]+$/.test(token)) return undefined;
      const bytes = Buffer.from(token, 'base64url');
      if (bytes.length < NONCE_BYTES + TAG_BYTES + UUID_BYTES) return undefined;
      // One token, one spelling: bits that base64url leaves over must not make another.
      if (bytes.toString('base64url') !== token) return undefined;
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      try {
        const body = bytes.subarray(NONCE_BYTES + TAG_BYTES);
        return trackedOf(Buffer.concat([decipher.update(body), decipher.final()]));
      } catch {
        return undefined;
      }
    },
    shortKey: (tracked) =>
      hmac(shortKey, bytesOf(tracked)).toString('base64url').slice(0, SHORT_LENGTH),
  };
}

function bytesOf({ messageUuid, url = '' }: Tracked): Buffer {
  return Buffer.concat([Buffer.from(messageUuid.replaceAll('-', ''), 'hex'), Buffer.from(url)]);
}

function trackedOf(bytes: Buffer): Tracked {
  const hex = bytes.subarray(0, UUID_BYTES).toString('hex');
  const messageUuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  const url = bytes.subarray(UUID_BYTES).toString();
  return url === '' ? { messageUuid } : { messageUuid, url };
}
