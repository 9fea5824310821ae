import { domainToASCII } from 'node:url';
import addressparser from 'nodemailer/lib/addressparser';

export type EmailAddress = { readonly name: string; readonly address: string };

const LONGEST_ADDRESS = 254;
const LONGEST_TEXT = 10_000;
// Printable, without what separates or quotes in a header, exactly one @, a domain with no space.
const PLAIN = /^[^\s\p{Cc}<>()[\]\\,;:@"]+@[^\s\p{Cc}<>()[\]\\,;:@"]+$/u;

/** The addresses of `a@x.org, Name <b@y.org>`, or undefined when one of them is not valid. */
export function emailAddresses(text: string): readonly EmailAddress[] | undefined {
  if (text.length > LONGEST_TEXT || /[\r\n\0]/.test(text)) return undefined;
  const parsed = addressparser(text, { flatten: true });
  const addresses: EmailAddress[] = [];
  for (const { name, address } of parsed) {
    const normal = normalAddress(address);
    if (normal === undefined) return undefined;
    addresses.push({ name, address: normal });
  }
  return addresses;
}

/**
 * The one address of a text, or undefined. A text with two is refused and not cut: what a
 * recipient gave as an address must not add recipients.
 */
export function singleEmailAddress(text: string): EmailAddress | undefined {
  const addresses = emailAddresses(text);
  return addresses?.length === 1 ? addresses[0] : undefined;
}

/** With the domain as the mail system knows it: lower case, international names as xn--. */
function normalAddress(address: string): string | undefined {
  if (address.length > LONGEST_ADDRESS || !PLAIN.test(address)) return undefined;
  const at = address.indexOf('@');
  const domain = domainToASCII(address.slice(at + 1));
  return domain === '' ? undefined : `${address.slice(0, at)}@${domain}`;
}
