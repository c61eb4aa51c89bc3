-- Secrets that settings refer to as secretref://store/NAME. A row is of no use without the master key,
-- which is in a file of the installation and never here.

CREATE TABLE secrets (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    name text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    -- Which master key wraps the data key.
    key_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed_value bytea NOT NULL,
    set_by jsonb NOT NULL,
    set_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (name, workspace_id)
);

-- Whoever seals reads the key file while holding this; a rotation waits for them before it wraps anew,
-- so that no row is left behind under a key that is then thrown away.
CREATE FUNCTION openloop.hold_off_rotation() RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock_shared(hashtextextended(current_setting('openloop.workspace'), 3))
$$;
CREATE FUNCTION openloop.await_sealing() RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(current_setting('openloop.workspace'), 3))
$$;

ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON secrets
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON secrets TO openloop_app;
