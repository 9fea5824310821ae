import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { privateAddressReason } from './private-address.ts';

/** A host that resolves to an address which webhooks must not reach. */
export class PrivateAddressError extends Error {
  readonly code = 'private_address_refused';

  constructor(host: string, address: string, reason: string) {
    super(
      `${host === address ? address : `${host} is ${address}, which`} is not a public address (${reason}); ` +
        'set BELFRY_ALLOW_PRIVATE_WEBHOOKS=true if webhooks may reach the private network',
    );
  }
}

type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Resolves a name for the connection that is about to be made, and refuses it when any of its
 * addresses is private. The connection goes to what was checked, so a name that changes its
 * address between check and use (DNS rebinding) gains nothing.
 */
export function publicLookup(resolve: Resolve = lookup): LookupFunction {
  const resolveOnce = oneAtATime(resolve);
  return (hostname, options, callback) => {
    resolveOnce(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      for (const { address } of addresses) {
        const reason = privateAddressReason(address);
        if (reason !== undefined) {
          return callback(new PrivateAddressError(hostname, address, reason), []);
        }
      }
      const [first] = addresses;
      if (first === undefined) return callback(new Error(`${hostname} has no address`), []);
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/**
 * Look-ups of one name share one that is under way: each holds a thread of a small pool, so many
 * connections to a name that answers slowly would stop the look-ups of everybody.
 */
function oneAtATime(resolve: Resolve): Resolve {
  // An entry for each name that is being looked up.
  const underWay = new Map<string, Parameters<Resolve>[2][]>();
  return (hostname, options, callback) => {
    const key = `${options.family ?? 0} ${options.hints ?? 0} ${hostname}`;
    const others = underWay.get(key);
    if (others) {
      others.push(callback);
      return;
    }
    const callbacks = [callback];
    underWay.set(key, callbacks);
    try {
      resolve(hostname, options, (error, addresses) => {
        underWay.delete(key);
        for (const each of callbacks) each(error, addresses);
      });
    } catch (error) {
      underWay.delete(key);
      throw error;
    }
  };
}

/** An undici connector; without `allowPrivate` it connects to public addresses only. */
export function createConnector(options: {
  readonly allowPrivate: boolean;
  readonly timeoutMs: number;
}): buildConnector.connector {
  const shared = { timeout: options.timeoutMs, allowH2: false };
  if (options.allowPrivate) return buildConnector(shared as buildConnector.BuildOptions);
  const connect = buildConnector({
    ...shared,
    lookup: publicLookup(),
  } as buildConnector.BuildOptions);
  return (target, callback) => {
    // An address is not looked up, so it is checked here. The URL parser has already turned the
    // odd notations (decimal, octal, hexadecimal) into the plain one.
    const host = target.hostname.replace(/^\[|\]$/g, '');
    const reason = isIP(host) === 0 ? undefined : privateAddressReason(host);
    if (reason !== undefined) return callback(new PrivateAddressError(host, host, reason), null);
    connect(target, callback);
  };
}
