-- Lists of an environment's messages and runs: newest first, by tenant, by recipient, and those that failed.
create index message_environment on message (environment_id, id);
create index message_tenant on message (environment_id, tenant, id) where tenant is not null;
create index recipient_run_environment on recipient_run (environment_id, id);
create index recipient_run_recipient on recipient_run (environment_id, recipient_id, id);
create index recipient_run_failed on recipient_run (environment_id, id) where error_count > 0;
create index recipient_run_segment_failed on recipient_run_segment (recipient_run_id) where error_count > 0;
create index workflow_run_tenant on workflow_run (environment_id, tenant, id) where tenant is not null;
create index workflow_run_workflow on workflow_run (environment_id, workflow_key, id);
-- What a trigger led to.
create index message_trigger on message (workflow_run_id);
create index recipient_run_trigger on recipient_run (workflow_run_id);
