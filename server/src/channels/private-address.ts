import ipaddr from 'ipaddr.js';

/** Where all of today's global IPv6 addresses are; outside of it nothing is public. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');

/** Public by number, but answered by the cloud's host: Azure's platform endpoint. */
const PLATFORM_ADDRESSES = new Set(['168.63.129.16']);

/**
 * Why an IP address is not on the public internet (`loopback`, `private`, `linkLocal`, ...), or
 * undefined when it is. An IPv4 address inside an IPv6 one counts as itself.
 */
export function privateAddressReason(address: string): string | undefined {
  if (!ipaddr.isValid(address)) return 'not an IP address';
  const parsed = ipaddr.parse(address);
  return parsed instanceof ipaddr.IPv4 ? ipv4Reason(parsed) : ipv6Reason(parsed);
}

function ipv4Reason(address: ipaddr.IPv4): string | undefined {
  if (PLATFORM_ADDRESSES.has(address.toString())) return 'cloud platform';
  const range = address.range();
  return range === 'unicast' ? undefined : range;
}

function ipv6Reason(address: ipaddr.IPv6): string | undefined {
  if (address.isIPv4MappedAddress()) return ipv4Reason(address.toIPv4Address());
  const range = address.range();
  // NAT64: how a host with IPv6 only reaches IPv4, so the address within decides.
  if (range === 'rfc6052') return ipv4Reason(new ipaddr.IPv4(address.toByteArray().slice(12)));
  if (range !== 'unicast') return range;
  return address.match(GLOBAL_IPV6) ? undefined : 'reserved';
}
