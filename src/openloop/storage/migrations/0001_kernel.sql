-- The kernel: everything a mention needs to become an approved, audited effect.
-- Every tenant row carries workspace_id, is under FORCE ROW LEVEL SECURITY, and refers to other
-- rows by composite keys, so that no row can point across workspaces.

CREATE FUNCTION openloop.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- --- the directory: what is needed before a workspace is known; no tenant text ---------------

CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT openloop.now()
);

-- Which workspace an installation of a platform (a Slack team) belongs to.
CREATE TABLE installations (
    surface text NOT NULL,
    tenant text NOT NULL,
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    PRIMARY KEY (surface, tenant)
);

-- API tokens are found by their public part before a workspace is known; the secret is hashed.
CREATE TABLE token_index (
    id text PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces (id)
);

-- --- who ---------------------------------------------------------------------------------------

CREATE TABLE principals (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('person', 'service')),
    roles text[] NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (id, workspace_id),
    UNIQUE (name, workspace_id)
);

CREATE TABLE identities (
    workspace_id uuid NOT NULL,
    surface text NOT NULL,
    tenant text NOT NULL,
    external_id text NOT NULL,
    principal_id uuid NOT NULL,
    PRIMARY KEY (external_id, surface, tenant, workspace_id),
    FOREIGN KEY (workspace_id, principal_id) REFERENCES principals (workspace_id, id)
);

CREATE TABLE tokens (
    workspace_id uuid NOT NULL,
    id text NOT NULL,
    principal_id uuid NOT NULL,
    name text NOT NULL,
    secret_sha256 bytea NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'admin', 'owner')),
    created_at timestamptz NOT NULL DEFAULT openloop.now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (id, workspace_id),
    FOREIGN KEY (workspace_id, principal_id) REFERENCES principals (workspace_id, id)
);

-- --- configuration -----------------------------------------------------------------------------

CREATE TABLE workspace_revisions (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id uuid NOT NULL,
    number integer NOT NULL,
    source text NOT NULL,
    digest text NOT NULL,
    applied_by uuid NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (id, workspace_id),
    UNIQUE (number, workspace_id)
);

CREATE TABLE agents (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id uuid NOT NULL,
    name text NOT NULL,
    live_revision_id uuid,
    created_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (id, workspace_id),
    UNIQUE (name, workspace_id)
);

CREATE TABLE agent_revisions (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    number integer NOT NULL,
    source text NOT NULL,
    digest text NOT NULL,
    inactive jsonb NOT NULL DEFAULT '[]',
    applied_by uuid NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (id, workspace_id),
    UNIQUE (agent_id, number, workspace_id),
    FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id)
);

ALTER TABLE agents ADD FOREIGN KEY (workspace_id, live_revision_id)
    REFERENCES agent_revisions (workspace_id, id) DEFERRABLE INITIALLY DEFERRED;

-- Which agent answers in which place; one at most.
CREATE TABLE bindings (
    workspace_id uuid NOT NULL,
    surface text NOT NULL,
    tenant text NOT NULL,
    container text NOT NULL,
    name text NOT NULL,
    agent_id uuid NOT NULL,
    PRIMARY KEY (container, surface, tenant, workspace_id),
    FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id)
);

-- --- what comes in -----------------------------------------------------------------------------

-- Both dedupe keys of every event that was taken: the delivery's and the subject's.
CREATE TABLE taken_keys (
    workspace_id uuid NOT NULL,
    surface text NOT NULL,
    key text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (key, surface, workspace_id)
);
-- Keys come in the order of their time, so a block range says enough to find the old ones.
CREATE INDEX ON taken_keys USING brin (taken_at);

-- One thread in one place with one agent. The row is the lock: whoever holds
-- (claimed_by, epoch) works on it; `wakes` counts what has happened, `handled` what was read.
CREATE TABLE conversations (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_id uuid,
    surface text NOT NULL,
    tenant text NOT NULL,
    container text NOT NULL,
    root text NOT NULL,
    claimed_by uuid,
    epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    wakes bigint NOT NULL DEFAULT 0,
    handled bigint NOT NULL DEFAULT 0,
    wake_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (id, workspace_id),
    UNIQUE (root, container, surface, tenant, workspace_id),
    FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id)
) WITH (fillfactor = 70);
CREATE INDEX conversations_due ON conversations (workspace_id, id) WHERE wakes > handled;
CREATE INDEX conversations_claimed ON conversations (lease_until, workspace_id) WHERE lease_until IS NOT NULL;
CREATE INDEX conversations_timed ON conversations (workspace_id, wake_at) WHERE wake_at IS NOT NULL;

-- Locks a conversation for whoever holds it; for anybody else the transaction fails, so that what
-- was sent behind it needs no answer first.
CREATE FUNCTION openloop.fence(conversation uuid, held_epoch bigint, worker uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM openloop.conversations
        WHERE id = conversation AND epoch = held_epoch AND claimed_by = worker FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Conversation % was taken over after epoch %', conversation, held_epoch
            USING ERRCODE = 'OL001';
    END IF;
END $$;


CREATE TABLE runs (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    revision_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'working', 'waiting', 'done', 'failed', 'cancelled', 'declined')),
    outcome text NOT NULL DEFAULT '',
    error_code text NOT NULL DEFAULT '',
    model text NOT NULL DEFAULT '',
    requested_by jsonb NOT NULL,
    request text NOT NULL,
    request_link text NOT NULL DEFAULT '',
    cancel_asked_by jsonb,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cost_usd numeric(16, 6) NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL DEFAULT openloop.now(),
    started_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (id, workspace_id),
    FOREIGN KEY (workspace_id, conversation_id) REFERENCES conversations (workspace_id, id),
    FOREIGN KEY (workspace_id, revision_id) REFERENCES agent_revisions (workspace_id, id)
) WITH (fillfactor = 80);
-- At most one active run per conversation.
CREATE INDEX ON runs (conversation_id, id, workspace_id);
CREATE UNIQUE INDEX runs_active ON runs (conversation_id, workspace_id)
    WHERE state IN ('queued', 'working', 'waiting');
CREATE INDEX runs_queued ON runs (workspace_id) WHERE state = 'queued';

-- A wake-up is a procrastinate job with two ids: the same row that its own client would write. The
-- more runs of a workspace are queued already, the later it is fetched: neighbours come first.
CREATE FUNCTION openloop.wake(workspace uuid, conversation uuid) RETURNS void LANGUAGE sql AS $$
    SELECT procrastinate.procrastinate_defer_jobs_v1(ARRAY[ROW(
        'runs', 'advance',
        -(SELECT count(*) FROM (
            SELECT FROM openloop.runs WHERE workspace_id = workspace AND state = 'queued' LIMIT 200) AS queued),
        NULL, NULL, jsonb_build_object('workspace', workspace, 'conversation', conversation), NULL
    )]::procrastinate.procrastinate_job_to_defer_v1[])
$$;

CREATE TABLE messages (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    run_id uuid,
    external_id text NOT NULL,
    actor jsonb NOT NULL,
    text text NOT NULL,
    link text NOT NULL DEFAULT '',
    sent_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT openloop.now(),
    read_at timestamptz,
    PRIMARY KEY (id, workspace_id),
    FOREIGN KEY (workspace_id, conversation_id) REFERENCES conversations (workspace_id, id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES runs (workspace_id, id)
);
CREATE INDEX messages_unread ON messages (conversation_id, id, workspace_id) WHERE read_at IS NULL;
CREATE INDEX ON messages (run_id, workspace_id);

-- --- the journal -------------------------------------------------------------------------------

-- A run's steps, each written before and after. A tool step of a write is its intent.
CREATE TABLE steps (
    workspace_id uuid NOT NULL,
    run_id uuid NOT NULL,
    seq integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('context', 'model', 'tool')),
    state text NOT NULL CHECK (state IN ('held', 'started', 'finished')),
    epoch bigint NOT NULL,
    name text NOT NULL DEFAULT '',
    effect text NOT NULL DEFAULT '',
    rule text NOT NULL DEFAULT '',
    input jsonb NOT NULL DEFAULT '{}',
    output jsonb,
    started_at timestamptz NOT NULL DEFAULT openloop.now(),
    finished_at timestamptz,
    PRIMARY KEY (run_id, seq, workspace_id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES runs (workspace_id, id)
) WITH (fillfactor = 80);

-- --- approvals ---------------------------------------------------------------------------------

CREATE TABLE approvals (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    run_id uuid NOT NULL,
    step_seq integer NOT NULL,
    conversation_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    tool text NOT NULL,
    permission text NOT NULL,
    arguments bytea NOT NULL,
    preconditions jsonb NOT NULL,
    hash text NOT NULL,
    card jsonb NOT NULL,
    requested_by jsonb NOT NULL,
    approvers text[] NOT NULL,
    solo_mode boolean NOT NULL,
    rule text NOT NULL,
    token_sha256 bytea NOT NULL,
    state text NOT NULL CHECK (state IN
        ('pending', 'approved', 'denied', 'expired', 'withdrawn', 'stale', 'executing', 'executed', 'failed', 'unknown')),
    asked_at timestamptz NOT NULL DEFAULT openloop.now(),
    expires_at timestamptz NOT NULL,
    decided_by uuid,
    decided_at timestamptz,
    reason text NOT NULL DEFAULT '',
    result jsonb,
    PRIMARY KEY (id, workspace_id),
    UNIQUE (run_id, step_seq, workspace_id),
    UNIQUE (token_sha256, workspace_id),
    FOREIGN KEY (workspace_id, run_id, step_seq) REFERENCES steps (workspace_id, run_id, seq),
    FOREIGN KEY (workspace_id, conversation_id) REFERENCES conversations (workspace_id, id)
);
CREATE INDEX ON approvals (state, expires_at, workspace_id);

CREATE TABLE votes (
    workspace_id uuid NOT NULL,
    approval_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    decision text NOT NULL CHECK (decision IN ('approve', 'deny', 'retry', 'happened')),
    via text NOT NULL,
    voted_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (approval_id, principal_id, decision, workspace_id),
    FOREIGN KEY (workspace_id, approval_id) REFERENCES approvals (workspace_id, id),
    FOREIGN KEY (workspace_id, principal_id) REFERENCES principals (workspace_id, id)
);

-- --- money -------------------------------------------------------------------------------------

-- One row per axis, subject and period; settled + reserved <= limit at every instant.
-- What a provider bills above its reservation is kept apart, in overrun_usd.
CREATE TABLE budgets (
    workspace_id uuid NOT NULL,
    axis text NOT NULL CHECK (axis IN ('workspace', 'agent', 'place', 'principal', 'run')),
    subject uuid NOT NULL,
    period date NOT NULL,
    limit_usd numeric(16, 6),
    settled_usd numeric(16, 6) NOT NULL DEFAULT 0,
    reserved_usd numeric(16, 6) NOT NULL DEFAULT 0 CHECK (reserved_usd >= 0),
    overrun_usd numeric(16, 6) NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, axis, period, workspace_id)
) WITH (fillfactor = 50);

-- The rows that a call counts against, and the current calendar month in UTC. A run is its own period.
CREATE FUNCTION openloop.budget_keys(workspace uuid, agent uuid, run uuid, month date)
RETURNS TABLE (axis text, subject uuid, period date) LANGUAGE sql IMMUTABLE AS
    $$ VALUES ('agent', agent, month), ('run', run, date '1970-01-01'), ('workspace', workspace, month) $$;
CREATE FUNCTION openloop.month() RETURNS date LANGUAGE sql VOLATILE AS
    $$ SELECT date_trunc('month', openloop.now() AT TIME ZONE 'UTC')::date $$;

-- The longest answer that an amount affords at a price per million tokens; NULL means no limit.
CREATE FUNCTION openloop.affordable_tokens(
    amount numeric, input_tokens bigint, input_price numeric, output_price numeric, longest bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN amount IS NULL THEN longest
        WHEN amount * 1000000 < input_tokens * input_price THEN 0
        WHEN output_price = 0 THEN longest
        ELSE least(longest, div(amount * 1000000 - input_tokens * input_price, output_price)) END $$;

CREATE TABLE reservations (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    run_id uuid NOT NULL,
    step_seq integer NOT NULL,
    epoch bigint NOT NULL,
    agent_id uuid NOT NULL,
    model text NOT NULL,
    period date NOT NULL,
    amount_usd numeric(16, 6) NOT NULL,
    state text NOT NULL CHECK (state IN ('held', 'settled')),
    lease_until timestamptz NOT NULL,
    cost_usd numeric(16, 6),
    usage jsonb,
    assumed boolean NOT NULL DEFAULT false,
    reserved_at timestamptz NOT NULL DEFAULT openloop.now(),
    settled_at timestamptz,
    PRIMARY KEY (id, workspace_id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES runs (workspace_id, id)
) WITH (fillfactor = 80);
CREATE INDEX reservations_held ON reservations (lease_until, workspace_id) WHERE state = 'held';
CREATE INDEX ON reservations (run_id, step_seq, workspace_id);
CREATE INDEX ON reservations (agent_id, period, workspace_id);

-- --- memory ------------------------------------------------------------------------------------

CREATE TABLE memories (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    scope text NOT NULL CHECK (scope IN ('channel', 'agent', 'workspace')),
    scope_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('decision', 'fact', 'preference', 'turn')),
    text text NOT NULL,
    author jsonb NOT NULL,
    source_link text NOT NULL DEFAULT '',
    source_message text NOT NULL DEFAULT '',
    run_id uuid,
    step_seq integer,
    confidence text NOT NULL DEFAULT 'unconfirmed' CHECK (confidence IN ('unconfirmed', 'confirmed')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'superseded', 'retracted')),
    undo_sha256 bytea,
    effective_at timestamptz NOT NULL,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT openloop.now(),
    search tsvector GENERATED ALWAYS AS (to_tsvector('english', text)) STORED,
    PRIMARY KEY (id, workspace_id),
    FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id)
);
CREATE INDEX ON memories (scope_id, scope, effective_at DESC, workspace_id);
CREATE INDEX ON memories USING gin (search);
CREATE UNIQUE INDEX memories_undo ON memories (undo_sha256, workspace_id) WHERE undo_sha256 IS NOT NULL;
-- A note that was journaled but whose step was repeated after a crash is saved once.
CREATE UNIQUE INDEX memories_once ON memories (run_id, step_seq, workspace_id) WHERE run_id IS NOT NULL;

-- --- what goes out -----------------------------------------------------------------------------

CREATE TABLE outbox (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    conversation_id uuid NOT NULL,
    run_id uuid,
    approval_id uuid,
    op jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'refused', 'dropped')),
    sender uuid,
    lease_until timestamptz,
    not_before timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    message_ids text[] NOT NULL DEFAULT '{}',
    detail text NOT NULL DEFAULT '',
    queued_at timestamptz NOT NULL DEFAULT openloop.now(),
    sent_at timestamptz,
    PRIMARY KEY (id, workspace_id),
    FOREIGN KEY (workspace_id, conversation_id) REFERENCES conversations (workspace_id, id)
) WITH (fillfactor = 80);
CREATE INDEX outbox_open ON outbox (conversation_id, seq, workspace_id) WHERE state IN ('queued', 'sending');
CREATE INDEX ON outbox (approval_id, workspace_id) WHERE approval_id IS NOT NULL;
CREATE INDEX ON outbox (run_id, workspace_id) WHERE run_id IS NOT NULL;

-- --- what is remembered of all this ------------------------------------------------------------

CREATE TABLE audit_events (
    workspace_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT openloop.now(),
    kind text NOT NULL,
    actor jsonb NOT NULL,
    subject uuid,
    run_id uuid,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX ON audit_events (workspace_id, run_id) WHERE run_id IS NOT NULL;
-- The order in which events become visible for good: what streams follow.
CREATE INDEX ON audit_events (workspace_id, xid, id);

CREATE FUNCTION openloop.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION openloop.refuse_change();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION openloop.refuse_change();

-- API writes that carried an Idempotency-Key, and what they were answered.
CREATE TABLE idempotency_keys (
    workspace_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL,
    status integer,
    answer jsonb,
    made_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (principal_id, key, workspace_id)
);

-- --- row security and rights -------------------------------------------------------------------

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['principals', 'identities', 'tokens', 'workspace_revisions', 'agents',
        'agent_revisions', 'bindings', 'taken_keys', 'conversations', 'runs', 'messages', 'steps',
        'approvals', 'votes', 'budgets', 'reservations', 'memories', 'outbox', 'audit_events',
        'idempotency_keys']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        -- After a transaction the setting reads '' and not NULL, hence nullif.
        EXECUTE format($policy$CREATE POLICY workspace ON %I
            USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
            WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)$policy$, t);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA openloop TO openloop_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA openloop TO openloop_app;
REVOKE UPDATE, DELETE ON audit_events FROM openloop_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA openloop TO openloop_app;
REVOKE ALL ON schema_migrations FROM openloop_app;
GRANT SELECT ON schema_migrations TO openloop_app;
