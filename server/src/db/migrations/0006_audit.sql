-- Not only orders are in the audit log: also keys, accounts, shares and settings.

alter table audit_log alter column order_id drop not null;
