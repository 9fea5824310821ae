import type { BodiesConfig } from '../bodies/config.ts';
import type { Background } from '../db/database.ts';
import type { ModelEndpoint } from '../workflows/step.ts';
import type { FeedChange, PreviewAnswer, PreviewRequest } from './engine.ts';
import type { ChunkRef, QueueKind } from './log/chunk.ts';

/** A slice as an executor gets it. */
export type SliceOrder = {
  readonly stream: number;
  readonly sequence: number;
  readonly slice: number;
  readonly laneId: number;
  readonly skip: readonly number[];
};

/** Server process to executor, over the child's IPC channel. */
export type ToExecutor =
  /** The first message. */
  | { readonly type: 'start'; readonly options: ExecutorOptions }
  | {
      readonly type: 'work';
      readonly id: number;
      readonly kind: QueueKind;
      readonly slot: number;
      readonly careful: boolean;
      readonly slices: readonly SliceOrder[];
    }
  /** Feeds that somebody listens to; others are not reported. */
  | {
      readonly type: 'watch';
      readonly id: number;
      readonly add: readonly string[];
      readonly remove: readonly string[];
    }
  /** Orders about queued work changed: begin nothing under those from before. */
  | { readonly type: 'govern'; readonly id: number }
  | { readonly type: 'preview'; readonly id: number; readonly request: PreviewRequest }
  | { readonly type: 'ping'; readonly id: number }
  /** Finish what is under way, then exit. */
  | { readonly type: 'drain' };

/** Executor to server process. */
export type FromExecutor =
  | { readonly type: 'ready' }
  | {
      readonly type: 'done';
      readonly kind: QueueKind;
      readonly id: number;
      readonly serviceMs: number;
      readonly runs: number;
      readonly messages: number;
      /** Chunks that the work appended. */
      readonly appended: readonly ChunkRef[];
      readonly feeds: readonly FeedChange[];
    }
  /** Undone and to be tried again. */
  | { readonly type: 'returned'; readonly kind: QueueKind; readonly id: number }
  /** The `watch` or `govern` of this id holds from now on. */
  | { readonly type: 'answered'; readonly id: number }
  | { readonly type: 'previewed'; readonly id: number; readonly answer: PreviewAnswer }
  | {
      readonly type: 'pong';
      readonly id: number;
      readonly cpuMs: number;
      readonly rssBytes: number;
      /** Contents that stayed in their messages because the ring was full, since its start. */
      readonly keptBodies?: number;
    }
  /** In careful work: the run that is evaluated next. */
  | {
      readonly type: 'evaluating';
      readonly kind: QueueKind;
      readonly id: number;
      readonly stream: number;
      readonly sequence: number;
      readonly index: number;
    };

/** What an executor needs to know at its start. */
export type ExecutorOptions = {
  readonly databaseUrl: string;
  readonly name: string;
  /** Assignments of runs at once, each with a session of its own. */
  readonly concurrency: number;
  /** Its work can wait: that of the executor for noisy lanes. */
  readonly background?: Background;
  readonly smtpUrl: string | undefined;
  readonly mailFrom: string;
  readonly allowPrivateWebhooks: boolean;
  /** Where AI steps ask. */
  readonly model?: ModelEndpoint | undefined;
  /** What webhook signing secrets are derived from. */
  readonly installationSecret: string;
  /** Where recipients reach the server; absent: messages have no links to it. */
  readonly publicUrl?: string;
  /** Where contents of messages go; absent: they stay. */
  readonly bodies?: BodiesConfig | undefined;
  readonly logLevel: string;
};
