import type { Routes } from '../app.ts';
import { channelBulkRoutes } from './channels-bulk.ts';
import { controlRoutes } from './control.ts';
import { devMailRoutes } from './dev-mail.ts';
import { feedRoutes } from './feeds.ts';
import { healthRoutes } from './health.ts';
import { messageStatusRoutes } from './message-status.ts';
import { messageRoutes } from './messages.ts';

/** Every endpoint of the server; a new noun is one file beside this one and one line here. */
export const routes: readonly Routes[] = [
  controlRoutes,
  devMailRoutes,
  healthRoutes,
  channelBulkRoutes,
  feedRoutes,
  messageStatusRoutes,
  messageRoutes,
];
