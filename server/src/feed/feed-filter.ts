import {
  booleanParameter,
  choiceParameter,
  dateParameter,
  type RawParameters,
  textParameter,
  textsParameter,
} from './query-reader.ts';
import { type TriggerData, triggerDataParameter } from './trigger-data.ts';

/** Which of a user's feed items a view shows. Absent: no restriction. */
export type FeedFilter = {
  readonly status: (typeof feedStatuses)[number];
  readonly archived: ArchivedFilter;
  readonly source?: string | undefined;
  /** This tenant's items and, unless `hasTenant` says otherwise, those of no tenant. */
  readonly tenant?: string | undefined;
  readonly hasTenant?: boolean | undefined;
  /** Any of them. */
  readonly workflowCategories?: readonly string[] | undefined;
  readonly triggerData?: TriggerData | undefined;
  readonly insertedAt: TimeRange;
};

export type TimeRange = {
  readonly gt?: Date | undefined;
  readonly gte?: Date | undefined;
  readonly lt?: Date | undefined;
  readonly lte?: Date | undefined;
};

export const feedStatuses = ['all', 'unread', 'read', 'unseen', 'seen'] as const;
export const archivedFilters = ['exclude', 'include', 'only'] as const;
type ArchivedFilter = (typeof archivedFilters)[number];

/** The filter in these parameters: of a query string, or of a reference in a join. */
export function readFeedFilter(parameters: RawParameters): FeedFilter {
  return {
    status: choiceParameter(parameters, 'status', feedStatuses) ?? 'all',
    archived: choiceParameter(parameters, 'archived', archivedFilters) ?? 'exclude',
    source: textParameter(parameters, 'source'),
    tenant: textParameter(parameters, 'tenant'),
    hasTenant: booleanParameter(parameters, 'has_tenant'),
    workflowCategories: textsParameter(parameters, 'workflow_categories'),
    triggerData: triggerDataParameter(parameters),
    insertedAt: readTimeRange(parameters),
  };
}

export function readTimeRange(parameters: RawParameters): TimeRange {
  return {
    gt: dateParameter(parameters, 'inserted_at.gt'),
    gte: dateParameter(parameters, 'inserted_at.gte'),
    lt: dateParameter(parameters, 'inserted_at.lt'),
    lte: dateParameter(parameters, 'inserted_at.lte'),
  };
}
