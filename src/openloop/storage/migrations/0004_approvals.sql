-- Approvals with quorums, rounds, escalation and shared cards.

-- Under FORCE the owner sees no rows, so a backfill would change none and a new key could not be checked.
ALTER TABLE approvals NO FORCE ROW LEVEL SECURITY;
ALTER TABLE principals NO FORCE ROW LEVEL SECURITY;

ALTER TABLE approvals
    -- Every rule that holds the call: [{rule, approvers, quorum, not_requester, escalation}].
    ADD COLUMN demands jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN may_edit boolean NOT NULL DEFAULT false,
    -- An edit begins a new round: votes are for the bytes of one round.
    ADD COLUMN round integer NOT NULL DEFAULT 1,
    ADD COLUMN edited_by uuid,
    -- How many stages of the escalation have been told.
    ADD COLUMN escalated integer NOT NULL DEFAULT 0,
    -- Why nobody was asked by a card: the call waits in the inbox.
    ADD COLUMN parked text NOT NULL DEFAULT '' CHECK (parked IN ('', 'batch', 'run', 'approvers')),
    -- The card in the outbox that it shares with other calls of its step.
    ADD COLUMN card_id uuid,
    -- Whom the card names: nobody is asked for too many things at once.
    ADD COLUMN told uuid[] NOT NULL DEFAULT '{}',
    ADD FOREIGN KEY (workspace_id, edited_by) REFERENCES principals (workspace_id, id);
UPDATE approvals SET demands = jsonb_build_array(jsonb_build_object('rule', rule, 'approvers', approvers));
ALTER TABLE approvals DROP COLUMN approvers;

ALTER TABLE approvals FORCE ROW LEVEL SECURITY;
ALTER TABLE principals FORCE ROW LEVEL SECURITY;

-- What went stale is asked anew for the same step; one ask of a step is open at a time.
ALTER TABLE approvals DROP CONSTRAINT approvals_run_id_step_seq_workspace_id_key;
CREATE UNIQUE INDEX approvals_once ON approvals (run_id, step_seq, workspace_id) WHERE state <> 'stale';
CREATE INDEX ON approvals (run_id, step_seq, id, workspace_id);
-- The same request of another run, what is open, and what waits for room.
CREATE INDEX approvals_same ON approvals (hash, workspace_id) WHERE state = 'pending';
CREATE INDEX approvals_parked ON approvals (id, workspace_id) WHERE state = 'pending' AND parked = 'approvers';
CREATE INDEX approvals_agent ON approvals (agent_id, state, workspace_id);
CREATE INDEX approvals_card ON approvals (card_id, workspace_id) WHERE card_id IS NOT NULL;

ALTER TABLE votes
    ADD COLUMN round integer NOT NULL DEFAULT 1,
    DROP CONSTRAINT votes_pkey,
    ADD PRIMARY KEY (approval_id, principal_id, round, decision, workspace_id),
    DROP CONSTRAINT votes_decision_check,
    ADD CHECK (decision IN ('approve', 'deny', 'retry', 'happened', 'break_glass'));

-- An owner who breaks the glass says why first, and confirms it where the platform vouches for them.
CREATE TABLE broken_glasses (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    approval_id uuid NOT NULL,
    round integer NOT NULL,
    asked_by uuid NOT NULL,
    reason text NOT NULL,
    token_sha256 bytea NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT openloop.now(),
    expires_at timestamptz NOT NULL,
    broken_at timestamptz,
    PRIMARY KEY (id, workspace_id),
    UNIQUE (token_sha256, workspace_id),
    FOREIGN KEY (workspace_id, approval_id) REFERENCES approvals (workspace_id, id),
    FOREIGN KEY (workspace_id, asked_by) REFERENCES principals (workspace_id, id)
);

ALTER TABLE broken_glasses ENABLE ROW LEVEL SECURITY;
ALTER TABLE broken_glasses FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON broken_glasses
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON broken_glasses TO openloop_app;
