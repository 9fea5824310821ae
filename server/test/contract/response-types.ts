import type KnockNode from '@knocklabs/node';
import { type Static, type TSchema, Type } from 'typebox';
import { ChannelData } from '../../src/api/channel-data-schemas.ts';
import { RpcAnswer } from '../../src/api/json-rpc.ts';
import {
  DeliveryLogPage,
  MessageContents,
  MessageEventPage,
} from '../../src/api/message-history-schemas.ts';
import {
  ActivityPage,
  BulkOperation,
  Message,
  MessagePage,
} from '../../src/api/message-schemas.ts';
import {
  PreferenceCenterConfig,
  PreferenceCenterLink,
} from '../../src/api/preference-center-schemas.ts';
import { PreferenceSet, Tenant } from '../../src/api/preference-schemas.ts';
import { Revoked } from '../../src/api/provider-connection.ts';
import { MemberPage } from '../../src/api/routes/audiences.ts';
import { FeedPage, FeedSettings } from '../../src/api/routes/feeds.ts';
import { GuideActionAnswer, Guides } from '../../src/api/routes/guides.ts';
import { NotifyAnswer } from '../../src/api/routes/notify.ts';
import { ObjectPage } from '../../src/api/routes/objects.ts';
import { RunDetail, RunPage } from '../../src/api/routes/recipient-runs.ts';
import { Schedule, SchedulePage } from '../../src/api/routes/schedules.ts';
import { SlackChannels, SlackConnection } from '../../src/api/routes/slack-provider.ts';
import { SubscriptionPage, Subscriptions } from '../../src/api/routes/subscriptions.ts';
import { TeamsChannels, TeamsConnection, TeamsTeams } from '../../src/api/routes/teams-provider.ts';
import { TenantPage } from '../../src/api/routes/tenants.ts';
import { UserPage } from '../../src/api/routes/users.ts';
import { TriggerAnswer } from '../../src/api/routes/workflows.ts';
import { NoContent, ObjectEntity, User } from '../../src/api/schemas.ts';
import type { OperationName, operations } from './operations.ts';

/**
 * What each operation answers with when all is well. The type checker holds it against what the SDK says of the same
 * operation, and a test against what the route says.
 */
export const responses = {
  'GET /v1/providers/slack/{channel_id}/auth_check': SlackConnection,
  'GET /v1/providers/slack/{channel_id}/channels': SlackChannels,
  'PUT /v1/providers/slack/{channel_id}/revoke_access': Revoked,
  'GET /v1/providers/ms-teams/{channel_id}/auth_check': TeamsConnection,
  'GET /v1/providers/ms-teams/{channel_id}/channels': TeamsChannels,
  'PUT /v1/providers/ms-teams/{channel_id}/revoke_access': Revoked,
  'GET /v1/providers/ms-teams/{channel_id}/teams': TeamsTeams,
  'DELETE /v1/audiences/{key}/members': NoContent,
  'GET /v1/audiences/{key}/members': MemberPage,
  'POST /v1/audiences/{key}/members': NoContent,
  'GET /v1/bulk_operations/{id}': BulkOperation,
  'POST /v1/objects/{collection}/bulk/delete': BulkOperation,
  'POST /v1/objects/{collection}/bulk/set': BulkOperation,
  'POST /v1/tenants/bulk/delete': BulkOperation,
  'POST /v1/tenants/bulk/set': BulkOperation,
  'POST /v1/users/bulk/delete': BulkOperation,
  'POST /v1/users/bulk/identify': BulkOperation,
  'POST /v1/users/bulk/preferences': BulkOperation,
  'POST /v1/channels/{channel_id}/messages/bulk/{action}': BulkOperation,
  'POST /v1/integrations/census/custom-destination': RpcAnswer,
  'POST /v1/integrations/hightouch/embedded-destination': RpcAnswer,
  'GET /v1/messages': MessagePage,
  'POST /v1/messages/batch/archived': Type.Array(Message),
  'GET /v1/messages/batch/content': Type.Array(MessageContents),
  'POST /v1/messages/batch/interacted': Type.Array(Message),
  'POST /v1/messages/batch/read': Type.Array(Message),
  'POST /v1/messages/batch/seen': Type.Array(Message),
  'POST /v1/messages/batch/unarchived': Type.Array(Message),
  'POST /v1/messages/batch/unread': Type.Array(Message),
  'POST /v1/messages/batch/unseen': Type.Array(Message),
  'GET /v1/messages/{message_id}': Message,
  'GET /v1/messages/{message_id}/activities': ActivityPage,
  'DELETE /v1/messages/{message_id}/archived': Message,
  'PUT /v1/messages/{message_id}/archived': Message,
  'GET /v1/messages/{message_id}/content': MessageContents,
  'GET /v1/messages/{message_id}/delivery_logs': DeliveryLogPage,
  'GET /v1/messages/{message_id}/events': MessageEventPage,
  'PUT /v1/messages/{message_id}/interacted': Message,
  'DELETE /v1/messages/{message_id}/read': Message,
  'PUT /v1/messages/{message_id}/read': Message,
  'DELETE /v1/messages/{message_id}/seen': Message,
  'PUT /v1/messages/{message_id}/seen': Message,
  'DELETE /v1/messages/{message_id}/unarchived': Message,
  'DELETE /v1/messages/{message_id}/unread': Message,
  'DELETE /v1/messages/{message_id}/unseen': Message,
  'GET /v1/objects/{collection}': ObjectPage,
  'POST /v1/notify': NotifyAnswer,
  'POST /v1/notify/cancel': NoContent,
  'POST /v1/objects/{collection}/bulk/subscriptions/add': BulkOperation,
  'POST /v1/objects/{collection}/bulk/subscriptions/delete': BulkOperation,
  'DELETE /v1/objects/{collection}/{object_id}': NoContent,
  'GET /v1/objects/{collection}/{object_id}': ObjectEntity,
  'PUT /v1/objects/{collection}/{object_id}': ObjectEntity,
  'DELETE /v1/objects/{collection}/{object_id}/channel_data/{channel_id}': NoContent,
  'GET /v1/objects/{collection}/{object_id}/channel_data/{channel_id}': ChannelData,
  'PUT /v1/objects/{collection}/{object_id}/channel_data/{channel_id}': ChannelData,
  'GET /v1/objects/{collection}/{object_id}/messages': MessagePage,
  'GET /v1/objects/{collection}/{object_id}/preferences': Type.Array(PreferenceSet),
  'DELETE /v1/objects/{collection}/{object_id}/preferences/{set_id}': NoContent,
  'GET /v1/objects/{collection}/{object_id}/preferences/{set_id}': PreferenceSet,
  'PUT /v1/objects/{collection}/{object_id}/preferences/{set_id}': PreferenceSet,
  'PUT /v1/objects/{collection}/{object_id}/preferences/{set_id}/categories': PreferenceSet,
  'PUT /v1/objects/{collection}/{object_id}/preferences/{set_id}/categories/{key}': PreferenceSet,
  'PUT /v1/objects/{collection}/{object_id}/preferences/{set_id}/channel_types': PreferenceSet,
  'PUT /v1/objects/{collection}/{object_id}/preferences/{set_id}/channel_types/{key}':
    PreferenceSet,
  'PUT /v1/objects/{collection}/{object_id}/preferences/{set_id}/workflows': PreferenceSet,
  'PUT /v1/objects/{collection}/{object_id}/preferences/{set_id}/workflows/{key}': PreferenceSet,
  'GET /v1/objects/{collection}/{object_id}/schedules': SchedulePage,
  'DELETE /v1/objects/{collection}/{object_id}/subscriptions': Subscriptions,
  'GET /v1/objects/{collection}/{object_id}/subscriptions': SubscriptionPage,
  'POST /v1/objects/{collection}/{object_id}/subscriptions': Subscriptions,
  'DELETE /v1/schedules': Type.Array(Schedule),
  'GET /v1/schedules': SchedulePage,
  'POST /v1/schedules': Type.Array(Schedule),
  'PUT /v1/schedules': Type.Array(Schedule),
  'POST /v1/schedules/bulk/create': BulkOperation,
  'GET /v1/tenants': TenantPage,
  'DELETE /v1/tenants/{tenant_id}': NoContent,
  'GET /v1/tenants/{tenant_id}': Tenant,
  'PUT /v1/tenants/{tenant_id}': Tenant,
  'GET /v1/users': UserPage,
  'DELETE /v1/users/{user_id}': NoContent,
  'GET /v1/users/{user_id}': User,
  'PUT /v1/users/{user_id}': User,
  'DELETE /v1/users/{user_id}/channel_data/{channel_id}': NoContent,
  'GET /v1/users/{user_id}/channel_data/{channel_id}': ChannelData,
  'PUT /v1/users/{user_id}/channel_data/{channel_id}': ChannelData,
  'GET /v1/users/{user_id}/feeds/{id}': FeedPage,
  'GET /v1/users/{user_id}/feeds/{id}/settings': FeedSettings,
  'PUT /v1/users/{user_id}/guides/engagements/reset': GuideActionAnswer,
  'DELETE /v1/users/{user_id}/guides/messages/archived': GuideActionAnswer,
  'PUT /v1/users/{user_id}/guides/messages/archived': GuideActionAnswer,
  'PUT /v1/users/{user_id}/guides/messages/interacted': GuideActionAnswer,
  'PUT /v1/users/{user_id}/guides/messages/seen': GuideActionAnswer,
  'PUT /v1/users/{user_id}/guides/messages/{message_id}/archived': GuideActionAnswer,
  'PUT /v1/users/{user_id}/guides/messages/{message_id}/interacted': GuideActionAnswer,
  'PUT /v1/users/{user_id}/guides/messages/{message_id}/seen': GuideActionAnswer,
  'GET /v1/users/{user_id}/guides/{channel_id}': Guides,
  'POST /v1/users/{user_id}/merge': User,
  'GET /v1/users/{user_id}/messages': MessagePage,
  'GET /v1/users/{user_id}/preference_center/config': PreferenceCenterConfig,
  'POST /v1/users/{user_id}/preference_center/signed_url': PreferenceCenterLink,
  'GET /v1/users/{user_id}/preferences': Type.Array(PreferenceSet),
  'DELETE /v1/users/{user_id}/preferences/{set_id}': NoContent,
  'GET /v1/users/{user_id}/preferences/{set_id}': PreferenceSet,
  'PUT /v1/users/{user_id}/preferences/{set_id}': PreferenceSet,
  'PUT /v1/users/{user_id}/preferences/{set_id}/categories': PreferenceSet,
  'PUT /v1/users/{user_id}/preferences/{set_id}/categories/{key}': PreferenceSet,
  'PUT /v1/users/{user_id}/preferences/{set_id}/channel_types': PreferenceSet,
  'PUT /v1/users/{user_id}/preferences/{set_id}/channel_types/{key}': PreferenceSet,
  'PUT /v1/users/{user_id}/preferences/{set_id}/workflows': PreferenceSet,
  'PUT /v1/users/{user_id}/preferences/{set_id}/workflows/{key}': PreferenceSet,
  'GET /v1/users/{user_id}/schedules': SchedulePage,
  'GET /v1/users/{user_id}/subscriptions': SubscriptionPage,
  'GET /v1/workflow_recipient_runs': RunPage,
  'GET /v1/workflow_recipient_runs/{id}': RunDetail,
  'POST /v1/workflows/{key}/cancel': NoContent,
  'POST /v1/workflows/{key}/trigger': TriggerAnswer,
} as const satisfies { readonly [name in OperationName]?: TSchema };

type Checked = keyof typeof responses;

/** Operations that the SDK does not call, and the method that answers alike. */
type Twins = {
  'DELETE /v1/messages/{message_id}/unarchived': 'messages.unarchive';
  'DELETE /v1/messages/{message_id}/unread': 'messages.markAsUnread';
  'DELETE /v1/messages/{message_id}/unseen': 'messages.markAsUnseen';
  'POST /v1/notify/cancel': 'workflows.cancel';
  'PUT /v1/users/{user_id}/guides/messages/{message_id}/archived': 'users.guides.markMessageAsArchived';
  'PUT /v1/users/{user_id}/guides/messages/{message_id}/interacted': 'users.guides.markMessageAsInteracted';
  'PUT /v1/users/{user_id}/guides/messages/{message_id}/seen': 'users.guides.markMessageAsSeen';
};

type Operation = (typeof operations)[number];

/** `users.get` for `GET /v1/users/{user_id}`; the deprecated preference endpoints answer with the whole set. */
type Method<Name extends OperationName> = Name extends keyof Twins
  ? Twins[Name]
  : Extract<Operation, NamedOperation<Name>>[2] extends infer Path extends string
    ? Path
    : 'users.setPreferences';

type NamedOperation<Name> = Name extends `${infer Verb} ${infer Path}`
  ? readonly [Verb, Path, unknown]
  : never;

type At<Place, Path extends string> = Path extends `${infer Head}.${infer Rest}`
  ? Head extends keyof Place
    ? At<Place[Head], Rest>
    : never
  : Path extends keyof Place
    ? Place[Path]
    : never;

type SdkAnswer<Path extends string> =
  At<KnockNode, Path> extends (...args: never[]) => PromiseLike<infer Answer>
    ? Wire<Answer>
    : never;

/** Of a page the members that come over the wire, with the full form of `page_info`; of nothing, null. */
type Wire<Answer> = Answer extends { readonly page_info: unknown; hasNextPage: unknown }
  ? {
      [Key in 'entries' | 'items' as Key extends keyof Answer ? Key : never]: Answer[Key &
        keyof Answer];
    } & {
      page_info: KnockNode.PageInfo;
    }
  : Answer extends { hasNextPage: unknown }
    ? {
        // What leads to the next page is null over the wire when there is none; the SDK makes it ''.
        [Key in keyof Answer as Answer[Key] extends CallableFunction ? never : Key]:
          | Answer[Key]
          | (Answer[Key] extends string ? null : never);
      }
    : Answer extends object
      ? // Without what is protected: the SDK has a class `ChannelData` that its interface merges with.
        { [Key in keyof Answer]: Answer[Key] }
      : null;

/** Where we answer with more than the SDK knows of, on purpose. */
type Beyond<Name, Answer> = Name extends 'POST /v1/notify'
  ? // Older than the SDK.
    { result_id: string }
  : Name extends 'GET /v1/users/{user_id}/feeds/{id}'
    ? // The mode `compact` leaves activities out.
      Answer extends { entries: (infer Item)[] }
      ? Omit<Answer, 'entries'> & {
          entries: (Omit<Item, 'activities' | 'total_activities'> &
            Partial<Pick<Item, Extract<keyof Item, 'activities' | 'total_activities'>>>)[];
        }
      : never
    : Name extends `GET /v1/messages/${string}/content`
      ? // Messages of webhook channels.
        WithHttp<Answer>
      : Answer;

type WithHttp<Answer> = Answer extends (infer Item)[]
  ? WithHttp<Item>[]
  : Answer | (Omit<Answer, 'data'> & { data: { __typename: 'MessageHttpContent' } });

type Ours = { [Name in Checked]: Static<(typeof responses)[Name]> };
type Contract = { [Name in Checked]: Beyond<Name, SdkAnswer<Method<Name>>> };

void ({} as Ours satisfies Contract);
