-- A request that was deleted before anybody looked at it: the worker declines the run that it opened,
-- and nobody else's words go with it.
ALTER TABLE messages ADD COLUMN is_deleted boolean NOT NULL DEFAULT false;

-- Who is behind a red build, and which run it opened: one by somebody who may not ask keeps nobody
-- else's build at the same commit from being looked into.
ALTER TABLE investigations
    ADD COLUMN actor_id text NOT NULL DEFAULT '',
    ADD COLUMN run_id uuid,
    DROP CONSTRAINT investigations_pkey,
    ADD PRIMARY KEY (commit_id, container, actor_id, tenant, surface, workspace_id),
    -- Older rows name no run, and row security keeps a migration from looking.
    ADD FOREIGN KEY (workspace_id, run_id) REFERENCES runs (workspace_id, id) NOT VALID;
