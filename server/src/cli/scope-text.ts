import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { printable } from './table.ts';
import { timeText } from './time-text.ts';

/** A scope in words: `acme/production, key ...ab12, workflow digest, from 2026-05-01 04:00:20 UTC`. */
export function scopeText(scope: unknown): string {
  if (!isJsonObject(scope)) return '';
  const { account, environment, key, workflow, tenant, from, to } = scope;
  const parts = [
    [account, environment].filter((part) => part !== undefined).join('/'),
    isJsonObject(key) ? `key ...${String(key.hint)}` : '',
    named('workflow', workflow),
    named('tenant', tenant),
    typeof from === 'string' ? `from ${timeText(from)}` : '',
    typeof to === 'string' ? `before ${timeText(to)}` : '',
  ];
  return printable(parts.filter((part) => part !== '').join(', '));
}

function named(what: string, value: JsonObject[string] | undefined): string {
  return value === undefined ? '' : `${what} ${String(value)}`;
}
