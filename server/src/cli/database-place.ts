/** The database of a URL for people, without user and password: `belfry at db.example.com:5432`. */
export function databasePlace(url: string): string {
  const match = /^[a-z]+:\/\/(?:[^/?#]*@)?([^/?#]*)\/?([^?#]*)(?:\?(.*))?$/.exec(url);
  const [, host = '', name = '', query = ''] = match ?? [];
  const socket = new URLSearchParams(query).get('host');
  return `${decodeURIComponent(name)} at ${host || socket || 'its socket'}`;
}
