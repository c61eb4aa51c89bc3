-- Red builds that an agent was asked about without anybody asking: one row for each commit, so that
-- both of a platform's events, and its redeliveries, ask once.

CREATE TABLE investigations (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    surface text NOT NULL,
    tenant text NOT NULL,
    container text NOT NULL,
    commit_id text NOT NULL,
    -- Empty where the platform names none.
    branch text NOT NULL,
    failed_at timestamptz NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (commit_id, container, tenant, surface, workspace_id)
);
CREATE INDEX ON investigations (container, tenant, surface, begun_at, workspace_id);

ALTER TABLE investigations ENABLE ROW LEVEL SECURITY;
ALTER TABLE investigations FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON investigations
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON investigations TO openloop_app;
