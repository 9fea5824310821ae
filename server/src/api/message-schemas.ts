import { Type } from 'typebox';
import { deliveryStatuses } from '../feed/delivery-status.ts';
import { AnyObject, Nullable, openObject, PageInfo, Recipient } from './schemas.ts';

const Time = Type.String({ format: 'date-time' });

/** `inserted_at.gt` and its like; the parser makes one object of them, whatever their style. */
export const timeRangeQuery = {
  inserted_at: Type.Optional(
    Type.Object(
      {
        gt: Type.Optional(Type.String()),
        gte: Type.Optional(Type.String()),
        lt: Type.Optional(Type.String()),
        lte: Type.Optional(Type.String()),
      },
      {
        description:
          'Items inserted in this range, for example `inserted_at.gte=2026-01-31T00:00:00Z`.',
      },
    ),
  ),
};

export const RecipientReference = Type.Union([
  Type.String(),
  Type.Object({ id: Type.String(), collection: Type.String() }),
]);

export const Message = Type.Object(
  {
    __typename: Type.Literal('Message'),
    id: Type.String(),
    channel_id: Type.String({ format: 'uuid' }),
    channel: Type.Object({
      id: Type.String({ format: 'uuid' }),
      key: Type.String(),
      name: Type.String(),
      type: Type.Enum(['email', 'in_app_feed', 'in_app_guide', 'sms', 'push', 'chat', 'http']),
      provider: Type.String(),
      created_at: Time,
      updated_at: Time,
    }),
    recipient: RecipientReference,
    actors: Type.Array(RecipientReference),
    workflow: Type.String(),
    source: Type.Object({
      __typename: Type.Literal('NotificationSource'),
      key: Type.String(),
      version_id: Type.String({ format: 'uuid' }),
      categories: Type.Array(Type.String()),
      step_ref: Type.String(),
      type: Type.Literal('workflow'),
      workflow_run_id: Type.String({ format: 'uuid' }),
      workflow_recipient_run_id: Type.String({ format: 'uuid' }),
    }),
    tenant: Nullable(Type.String()),
    status: Type.Enum([...deliveryStatuses]),
    engagement_statuses: Type.Array(
      Type.Enum(['seen', 'read', 'interacted', 'link_clicked', 'archived']),
    ),
    scheduled_at: Nullable(Time),
    seen_at: Nullable(Time),
    read_at: Nullable(Time),
    interacted_at: Nullable(Time),
    archived_at: Nullable(Time),
    clicked_at: Nullable(Time),
    link_clicked_at: Nullable(Time),
    data: Nullable(
      Type.Unsafe<{ readonly [key: string]: unknown }>(
        Type.Object(
          {},
          { ...openObject, description: 'Of the trigger; left out where it is larger than 64 kB.' },
        ),
      ),
    ),
    metadata: AnyObject,
    inserted_at: Time,
    updated_at: Time,
  },
  { description: 'What one recipient got on one channel.' },
);

export const MessagePage = Type.Object({ items: Type.Array(Message), page_info: PageInfo });

const ContentBlock = Type.Object({
  type: Type.Enum(['markdown', 'text']),
  name: Type.String(),
  content: Type.String({ description: 'The source of the template.' }),
  rendered: Type.String(),
});

const ButtonSetBlock = Type.Object({
  type: Type.Literal('button_set'),
  name: Type.String(),
  buttons: Type.Array(
    Type.Object({ name: Type.String(), label: Type.String(), action: Type.String() }),
  ),
});

/** A trigger that is in a message. */
export const Activity = Type.Object({
  __typename: Type.Literal('Activity'),
  id: Type.String(),
  actor: Nullable(Recipient),
  recipient: Recipient,
  data: Nullable(AnyObject),
  inserted_at: Time,
  updated_at: Time,
});

export const ActivityPage = Type.Object({ items: Type.Array(Activity), page_info: PageInfo });

/** What a message in a feed shows. */
export const Blocks = Type.Array(Type.Union([ContentBlock, ButtonSetBlock]));

export const BulkOperation = Type.Object({
  __typename: Type.Literal('BulkOperation'),
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  status: Type.Enum(['queued', 'processing', 'completed', 'failed']),
  estimated_total_rows: Type.Integer(),
  processed_rows: Type.Integer(),
  success_count: Type.Integer(),
  error_count: Type.Integer(),
  error_items: Type.Array(
    Type.Object({ id: Type.String(), collection: Type.Optional(Nullable(Type.String())) }),
  ),
  progress_path: Type.String(),
  started_at: Nullable(Time),
  completed_at: Nullable(Time),
  failed_at: Nullable(Time),
  inserted_at: Time,
  updated_at: Time,
});
