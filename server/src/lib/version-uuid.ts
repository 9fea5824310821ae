/** A workflow version's number as the UUID that the wire wants; the same one always. */
export function versionUuid(versionId: number): string {
  return `00000000-0000-8000-8000-${versionId.toString(16).padStart(12, '0')}`;
}
