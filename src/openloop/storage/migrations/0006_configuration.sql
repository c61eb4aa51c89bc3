-- The life of a configuration: where a revision came from, changes that wait for somebody else's
-- approval, and the folders and repositories that are synced.

-- `origin` names what applied it (`cli`, `up`, `sync ...`): a three-way diff begins from its last one.
ALTER TABLE workspace_revisions
    ADD COLUMN origin text NOT NULL DEFAULT '',
    ADD COLUMN change_id uuid;
ALTER TABLE agent_revisions
    ADD COLUMN origin text NOT NULL DEFAULT '',
    ADD COLUMN change_id uuid;

-- Manifests that would widen rights. `digest` covers what they would change and how they widen, so
-- that what is approved is what was shown.
CREATE TABLE changes (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    origin text NOT NULL,
    version text NOT NULL DEFAULT '',
    files jsonb NOT NULL,
    digest text NOT NULL,
    documents jsonb NOT NULL,
    proposed_by uuid NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT openloop.now(),
    expires_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN
        ('pending', 'approved', 'rejected', 'superseded', 'expired', 'stale')),
    decided_by uuid,
    decided_at timestamptz,
    reason text NOT NULL DEFAULT '',
    PRIMARY KEY (id, workspace_id),
    FOREIGN KEY (workspace_id, proposed_by) REFERENCES principals (workspace_id, id)
);
CREATE INDEX ON changes (state, id, workspace_id);

CREATE TABLE change_votes (
    workspace_id uuid NOT NULL,
    change_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    decision text NOT NULL CHECK (decision IN ('approve', 'reject')),
    own_proposal boolean NOT NULL,
    via text NOT NULL,
    voted_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (change_id, principal_id, workspace_id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES changes (workspace_id, id),
    FOREIGN KEY (workspace_id, principal_id) REFERENCES principals (workspace_id, id)
);

-- What was last synced from where, for `doctor`.
CREATE TABLE config_sources (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    origin text NOT NULL,
    version text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'pending', 'refused')),
    detail text NOT NULL DEFAULT '',
    change_id uuid,
    every_seconds integer,
    synced_by uuid NOT NULL,
    synced_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (origin, workspace_id)
);

-- A token that syncs may look and propose; it can widen nothing.
ALTER TABLE tokens DROP CONSTRAINT tokens_role_check;
ALTER TABLE tokens ADD CONSTRAINT tokens_role_check
    CHECK (role IN ('viewer', 'operator', 'approver', 'admin', 'owner', 'sync'));

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['changes', 'change_votes', 'config_sources']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($policy$CREATE POLICY workspace ON %I
            USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
            WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)$policy$, t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO openloop_app', t);
    END LOOP;
END $$;
