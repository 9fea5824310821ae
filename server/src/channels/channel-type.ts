/** The channel types, in the order of their numbers in `message.channel_type` (from 1). */
const CHANNEL_TYPES = ['email', 'in_app_feed', 'sms', 'push', 'chat', 'http'] as const;

export type ChannelType = (typeof CHANNEL_TYPES)[number];

/** The number that a message row holds for a channel type. */
export function channelTypeNumber(type: ChannelType): number {
  return CHANNEL_TYPES.indexOf(type) + 1;
}

/** The channel type behind a message row's number, or undefined for a number that is none. */
export function channelTypeFromNumber(number: number): ChannelType | undefined {
  return CHANNEL_TYPES[number - 1];
}
