import type { Routes } from '../route.ts';
import { apiLogRoutes } from './api-logs.ts';
import { audienceRoutes } from './audiences.ts';
import { broadcastRoutes } from './broadcasts.ts';
import { bulkOperationRoutes } from './bulk-operations.ts';
import { canaryRoutes } from './canary.ts';
import { channelDataRoutes } from './channel-data.ts';
import { channelRoutes } from './channels.ts';
import { channelBulkRoutes } from './channels-bulk.ts';
import { controlRoutes } from './control.ts';
import { demoRoutes } from './demo.ts';
import { devMessageRoutes } from './dev-messages.ts';
import { eventRoutes } from './events.ts';
import { feedRoutes } from './feeds.ts';
import { guideRoutes } from './guides.ts';
import { healthRoutes } from './health.ts';
import { integrationRoutes } from './integrations.ts';
import { messageStatusRoutes } from './message-status.ts';
import { messageRoutes } from './messages.ts';
import { notifyRoutes } from './notify.ts';
import { objectRoutes } from './objects.ts';
import { opsRoutes } from './ops.ts';
import { opsAuditRoutes } from './ops-audit.ts';
import { opsLimitsRoutes } from './ops-limits.ts';
import { opsOrderRoutes } from './ops-orders.ts';
import { opsQuarantineRoutes } from './ops-quarantine.ts';
import { opsStoresRoutes } from './ops-stores.ts';
import { opsTopRoutes } from './ops-top.ts';
import { pageRoutes } from './pages.ts';
import { preferenceCenterRoutes } from './preference-center.ts';
import { preferencePageRoutes } from './preference-page.ts';
import { preferenceRoutes } from './preferences.ts';
import { previewTemplateRoutes } from './preview-template.ts';
import { recipientRunRoutes } from './recipient-runs.ts';
import { referenceRoutes } from './reference.ts';
import { scheduleRoutes } from './schedules.ts';
import { slackProviderRoutes } from './slack-provider.ts';
import { subscriptionRoutes } from './subscriptions.ts';
import { teamsProviderRoutes } from './teams-provider.ts';
import { tenantRoutes } from './tenants.ts';
import { trackingRoutes } from './tracking.ts';
import { unsubscribeRoutes } from './unsubscribe.ts';
import { userRoutes } from './users.ts';
import { variableRoutes } from './variables.ts';
import { webhookRoutes } from './webhooks.ts';
import { workflowRoutes } from './workflows.ts';

/** Every endpoint of the server; a new noun is one file beside this one and one line here. */
export const routes: readonly Routes[] = [
  workflowRoutes,
  notifyRoutes,
  userRoutes,
  unsubscribeRoutes,
  trackingRoutes,
  objectRoutes,
  subscriptionRoutes,
  tenantRoutes,
  preferenceRoutes,
  preferenceCenterRoutes,
  preferencePageRoutes,
  channelDataRoutes,
  slackProviderRoutes,
  teamsProviderRoutes,
  controlRoutes,
  variableRoutes,
  webhookRoutes,
  channelRoutes,
  previewTemplateRoutes,
  demoRoutes,
  devMessageRoutes,
  healthRoutes,
  channelBulkRoutes,
  bulkOperationRoutes,
  apiLogRoutes,
  eventRoutes,
  audienceRoutes,
  broadcastRoutes,
  integrationRoutes,
  scheduleRoutes,
  feedRoutes,
  guideRoutes,
  messageStatusRoutes,
  messageRoutes,
  recipientRunRoutes,
  opsRoutes,
  opsLimitsRoutes,
  opsTopRoutes,
  opsStoresRoutes,
  opsAuditRoutes,
  opsOrderRoutes,
  canaryRoutes,
  opsQuarantineRoutes,
  referenceRoutes,
  pageRoutes,
];
