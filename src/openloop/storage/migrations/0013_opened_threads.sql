-- Threads that a run has opened elsewhere (an issue, a pull request): each is a conversation of its own,
-- and all that both know of each other is a link.

CREATE TABLE opened_threads (
    workspace_id uuid NOT NULL,
    opened_id uuid NOT NULL,
    origin_id uuid NOT NULL,
    run_id uuid NOT NULL,
    step_seq integer NOT NULL,
    opened_link text NOT NULL,
    origin_link text NOT NULL,
    -- Whether the opened thread has had its one line about where it comes from.
    is_announced boolean NOT NULL DEFAULT false,
    opened_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (opened_id, workspace_id),
    FOREIGN KEY (workspace_id, opened_id) REFERENCES conversations (workspace_id, id),
    FOREIGN KEY (workspace_id, origin_id) REFERENCES conversations (workspace_id, id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES runs (workspace_id, id)
);
CREATE INDEX ON opened_threads (origin_id, workspace_id);
CREATE INDEX ON opened_threads (run_id, workspace_id);

ALTER TABLE opened_threads ENABLE ROW LEVEL SECURITY;
ALTER TABLE opened_threads FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON opened_threads
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON opened_threads TO openloop_app;
