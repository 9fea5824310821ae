import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Provider } from './provider.ts';

const PROXY_HEADERS = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
];

/**
 * The provider of a channel type for which none is configured: nothing leaves the machine. The message row is what the
 * viewer at /dev/messages shows, so there is nothing to do. Of most types nobody ever learns more than `sent`.
 */
export function createViewerProvider(outcome: 'sent' | 'delivered'): Provider {
  return {
    name: 'viewer',
    deliver: async () => ({ kind: outcome, detail: { viewer: '/dev/messages' } }),
    close: async () => {},
  };
}

/**
 * Whether the viewer may be shown. It asks nobody who they are, so only without an SMTP
 * server and only where nobody but this machine can reach it.
 */
export function viewerIsOn(options: {
  readonly smtpUrl: string | undefined;
  readonly host: string;
}): boolean {
  return options.smtpUrl === undefined && isLoopbackHost(options.host);
}

/**
 * Whether a request came through a proxy. One on this machine makes everybody look local, and may
 * call us by our loopback address whatever name it was called by.
 */
export function isForwarded(headers: Readonly<Record<string, unknown>>): boolean {
  return PROXY_HEADERS.some((name) => headers[name] !== undefined);
}

/** Whether a host name or address, without port, is this machine's loopback. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(bare) !== 0) return ipaddr.process(bare).range() === 'loopback';
  return bare === 'localhost' || bare.endsWith('.localhost');
}
