/**
 * The key of an object: `xx/ENVIRONMENT/OBJECT`. Stores limit the rate of writes by prefix, so it begins with the last digits
 * of the id, which are random.
 */
export function objectKey(environmentId: number, objectId: string): string {
  return `${objectId.slice(-2)}/${environmentId}/${objectId}`;
}
