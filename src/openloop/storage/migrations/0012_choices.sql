-- Choices of a surface where everybody can speak: a worker asks the platform what the person may do
-- in that place before the choice counts. A row is gone once it was carried out or refused.
CREATE TABLE choices (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    surface text NOT NULL,
    inbound jsonb NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT openloop.now(),
    not_before timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (id, workspace_id)
);
CREATE INDEX ON choices (surface, not_before, workspace_id);

ALTER TABLE choices ENABLE ROW LEVEL SECURITY;
ALTER TABLE choices FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON choices
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON choices TO openloop_app;
