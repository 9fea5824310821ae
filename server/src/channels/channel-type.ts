/** The channel types, in the order of their numbers in `message.channel_type` (from 1). */
export const channelTypes = ['email', 'in_app_feed', 'sms', 'push', 'chat', 'http'] as const;

export type ChannelType = (typeof channelTypes)[number];

/** The number that a message row holds for a channel type. */
export function channelTypeNumber(type: ChannelType): number {
  return channelTypes.indexOf(type) + 1;
}

/** The channel type behind a message row's number, or undefined for a number that is none. */
export function channelTypeFromNumber(number: number): ChannelType | undefined {
  return channelTypes[number - 1];
}
