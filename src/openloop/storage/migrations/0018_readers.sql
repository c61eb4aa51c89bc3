-- Who may read what through the API: which class a place has, and who has asked for something in a
-- conversation.

-- One row for each place that was ever asked about. A place is its own, and not its conversations', so
-- that whoever reads it can be corrected at once and without any of their locks.
CREATE TABLE places (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    surface text NOT NULL,
    tenant text NOT NULL,
    container text NOT NULL,
    -- NULL: nobody has said it, or the platform does not say it any more.
    class text CHECK (class IN ('private', 'internal', 'guests', 'shared', 'public')),
    -- What was said in it up to then was said in private, whatever the place has become since.
    private_until timestamptz,
    known_at timestamptz,
    asked_at timestamptz,
    PRIMARY KEY (container, surface, tenant, workspace_id)
);
CREATE INDEX ON places (workspace_id, asked_at NULLS FIRST);

ALTER TABLE places ENABLE ROW LEVEL SECURITY;
ALTER TABLE places FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON places
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON places TO openloop_app;

-- Who said it, as a column: under row security no index on a part of a JSON value is ever looked into.
ALTER TABLE messages ADD COLUMN author_id text GENERATED ALWAYS AS (actor->>'id') STORED;
CREATE INDEX messages_asked ON messages (author_id, conversation_id, workspace_id) WHERE run_id IS NOT NULL;
