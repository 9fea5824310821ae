/** One user's feed in one environment. */
export type FeedTopic = {
  readonly environmentId: number;
  readonly channelId: string;
  readonly userId: string;
};

/** The text by which a topic is watched: `environment id:channel id:user id`. */
export function feedTopicKey(topic: FeedTopic): string {
  return `${topic.environmentId}:${topic.channelId}:${topic.userId}`;
}
