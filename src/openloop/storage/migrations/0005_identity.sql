-- Identity and access: the brake, logins, one-time links, mirrored groups, and who has left.

-- --- the brake ---------------------------------------------------------------------------------

-- What is paused: an agent, or the workspace. Whoever has this machine pauses every workspace as
-- `installation`, which nobody inside of one can lift.
CREATE TABLE pauses (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    subject uuid NOT NULL,
    scope text NOT NULL CHECK (scope IN ('agent', 'workspace', 'installation')),
    reason text NOT NULL,
    paused_by jsonb NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (subject, scope, workspace_id),
    CHECK (scope = 'agent' OR subject = workspace_id)
);

-- Whoever writes an intent or a reservation holds off pauses from its first statement on; whoever
-- pauses waits for them, and everything that begins later waits for the pause. Taken in a statement
-- of its own, so that the next one sees every pause that has committed.
CREATE FUNCTION openloop.hold_off_pauses() RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock_shared(hashtextextended(current_setting('openloop.workspace'), 2))
$$;
CREATE FUNCTION openloop.await_intents() RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(current_setting('openloop.workspace'), 2))
$$;

-- --- people ------------------------------------------------------------------------------------

-- A person who has left stays so, whatever a manifest says, until somebody takes that back.
ALTER TABLE principals ADD COLUMN left_at timestamptz;

-- Where an id on a surface came from: the manifest sets its own anew at each apply.
ALTER TABLE identities ADD COLUMN origin text NOT NULL DEFAULT 'manifest'
    CHECK (origin IN ('manifest', 'link', 'login'));
ALTER TABLE identities ADD COLUMN linked_at timestamptz NOT NULL DEFAULT openloop.now();
CREATE INDEX ON identities (principal_id, workspace_id);

-- One-time codes that say that a person here and an id on a surface are the same. Both sides show
-- a code that the other side types.
CREATE TABLE identity_links (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id uuid NOT NULL,
    principal_id uuid NOT NULL,
    surface text NOT NULL,
    code_sha256 bytea NOT NULL,
    tenant text,
    external_id text,
    confirm_sha256 bytea,
    wrong_tries integer NOT NULL DEFAULT 0,
    made_at timestamptz NOT NULL DEFAULT openloop.now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (id, workspace_id),
    UNIQUE (code_sha256, workspace_id),
    FOREIGN KEY (workspace_id, principal_id) REFERENCES principals (workspace_id, id)
);
CREATE INDEX ON identity_links (principal_id, workspace_id);

-- Groups whose members a platform names: by id, as of a time. What was not asked for long is empty.
CREATE TABLE mirrored_groups (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    name text NOT NULL,
    surface text NOT NULL,
    external_id text NOT NULL,
    tenant text NOT NULL DEFAULT '',
    members text[] NOT NULL DEFAULT '{}',
    mirrored_at timestamptz,
    asked_at timestamptz,
    problem text NOT NULL DEFAULT '',
    PRIMARY KEY (name, workspace_id)
);

-- --- logins ------------------------------------------------------------------------------------

-- A login to the control plane in a browser. The cookie holds the secret, here is its hash.
CREATE TABLE logins (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id uuid NOT NULL,
    secret_sha256 bytea NOT NULL,
    previous_sha256 bytea,
    rotated_at timestamptz NOT NULL DEFAULT openloop.now(),
    principal_id uuid NOT NULL,
    method text NOT NULL CHECK (method IN ('oidc', 'link')),
    -- What the identity provider said of the person; what that grants is decided at each request.
    groups text[] NOT NULL DEFAULT '{}',
    -- A login by link stands for a token, and gives and lasts no more than that.
    token_id text,
    roles text[] NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT openloop.now(),
    seen_at timestamptz NOT NULL DEFAULT openloop.now(),
    ended_at timestamptz,
    PRIMARY KEY (id, workspace_id),
    UNIQUE (secret_sha256, workspace_id),
    FOREIGN KEY (workspace_id, principal_id) REFERENCES principals (workspace_id, id),
    FOREIGN KEY (workspace_id, token_id) REFERENCES tokens (workspace_id, id)
);
CREATE INDEX ON logins (previous_sha256, workspace_id) WHERE previous_sha256 IS NOT NULL;
CREATE INDEX ON logins (principal_id, workspace_id) WHERE ended_at IS NULL;

-- A way to the identity provider and back, of one browser; used up when it comes back.
CREATE TABLE login_attempts (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    state_sha256 bytea NOT NULL,
    browser_sha256 bytea NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    return_to text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (state_sha256, workspace_id)
);
CREATE INDEX ON login_attempts (begun_at, workspace_id);

-- A link that makes a browser on this machine somebody's, once.
CREATE TABLE login_links (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    secret_sha256 bytea NOT NULL,
    token_id text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (secret_sha256, workspace_id),
    FOREIGN KEY (workspace_id, token_id) REFERENCES tokens (workspace_id, id)
);
CREATE INDEX ON login_links (expires_at, workspace_id);

CREATE INDEX ON tokens (principal_id, workspace_id) WHERE revoked_at IS NULL;

-- --- row security and rights -------------------------------------------------------------------

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['pauses', 'identity_links', 'mirrored_groups', 'logins',
        'login_attempts', 'login_links']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($policy$CREATE POLICY workspace ON %I
            USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
            WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)$policy$, t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO openloop_app', t);
    END LOOP;
END $$;
