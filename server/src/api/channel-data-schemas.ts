import { Type } from 'typebox';
import { channelDataProviders } from '../recipients/channel-data.ts';
import { Nullable } from './schemas.ts';

const Text = Type.Optional(Nullable(Type.String()));
const Webhook = Type.Object({ incoming_webhook: Type.Object({ url: Type.String() }) });

const Slack = Type.Object({
  connections: Type.Array(
    Type.Union([
      Webhook,
      Type.Object({ access_token: Text, channel_id: Text, channel_name: Text, user_id: Text }),
    ]),
  ),
  token: Type.Optional(Nullable(Type.Object({ access_token: Nullable(Type.String()) }))),
});

const MsTeams = Type.Object({
  connections: Type.Array(
    Type.Union([
      Webhook,
      Type.Object({
        ms_teams_channel_id: Text,
        ms_teams_team_id: Text,
        ms_teams_tenant_id: Text,
        ms_teams_user_id: Text,
      }),
    ]),
  ),
  ms_teams_tenant_id: Text,
});

const Discord = Type.Object({
  connections: Type.Array(Type.Union([Webhook, Type.Object({ channel_id: Type.String() })])),
});

const Push = Type.Object({
  tokens: Type.Array(Type.String()),
  devices: Type.Array(Type.Object({ token: Type.String(), locale: Text, timezone: Text })),
});

const AwsSnsPush = Type.Object({
  target_arns: Type.Array(Type.String()),
  devices: Type.Array(Type.Object({ target_arn: Type.String(), locale: Text, timezone: Text })),
});

const OneSignal = Type.Object({ player_ids: Type.Array(Type.String()) });

export const ChannelData = Type.Object({
  __typename: Type.Literal('ChannelData'),
  channel_id: Type.String({ format: 'uuid' }),
  provider: Type.Optional(Type.Enum([...channelDataProviders])),
  data: Type.Union([Push, AwsSnsPush, OneSignal, Slack, MsTeams, Discord]),
});
