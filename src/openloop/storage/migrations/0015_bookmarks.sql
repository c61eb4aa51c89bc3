-- How far the lists of a platform have been read by a surface that asks instead of being told, and
-- which process reads them. One does at a time: whoever takes a bookmark over raises its epoch, and
-- what the one before still wants to keep under the old epoch is refused.

CREATE TABLE bookmarks (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    surface text NOT NULL,
    name text NOT NULL,
    -- The surface's own words.
    read jsonb,
    kept_at timestamptz,
    epoch bigint NOT NULL,
    held_until timestamptz NOT NULL,
    -- The last time of which the platform listed nothing any more.
    gap_since timestamptz,
    gap_until timestamptz,
    gap_noticed_at timestamptz,
    PRIMARY KEY (name, surface, workspace_id)
);

ALTER TABLE bookmarks ENABLE ROW LEVEL SECURITY;
ALTER TABLE bookmarks FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON bookmarks
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON bookmarks TO openloop_app;
