-- The oldest of the same request is the first of its hash: with the order outside of the index the
-- planner walked through all that is pending, by id.

DROP INDEX approvals_same;
CREATE INDEX approvals_same ON approvals (hash, id, workspace_id) WHERE state = 'pending';
