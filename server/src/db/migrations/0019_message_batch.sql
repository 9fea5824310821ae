-- Which closed batch a message came out of: {window, order, limit, closedMs, totalActivities, totalActors}.

alter table message add column batch jsonb;
