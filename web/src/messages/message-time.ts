const full = new Intl.DateTimeFormat(undefined, {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
});
const timeOfDay = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  timeZoneName: 'short',
});
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  timeZoneName: 'short',
});

/** Date, time and zone in the reader's own. */
export function formatFull(iso: string): string {
  return full.format(new Date(iso));
}

/** The time for today's messages, with the date for older ones; always with the zone. */
export function formatShort(iso: string, now: Date): string {
  const at = new Date(iso);
  return (at.toDateString() === now.toDateString() ? timeOfDay : dayAndTime).format(at);
}

const shortTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** The time of day alone, as phones and chats show it. */
export function formatTime(iso: string): string {
  return iso ? shortTime.format(new Date(iso)) : '';
}
