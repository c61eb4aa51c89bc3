-- To try a call again whose answer was lost is decided as the call was: by as many people, who say so
-- about this very attempt.

ALTER TABLE approvals NO FORCE ROW LEVEL SECURITY;
ALTER TABLE votes NO FORCE ROW LEVEL SECURITY;

-- Which try people decide about: the second, once it may have happened.
ALTER TABLE approvals ADD COLUMN attempt integer NOT NULL DEFAULT 1;
-- Somebody may say it about each of them.
ALTER TABLE votes
    ADD COLUMN attempt integer NOT NULL DEFAULT 1,
    DROP CONSTRAINT votes_pkey,
    ADD PRIMARY KEY (approval_id, principal_id, round, attempt, decision, workspace_id);

-- What was said before about a second attempt, by one person mostly; it has to be enough by itself.
UPDATE votes SET attempt = 2 WHERE decision IN ('retry', 'happened');
UPDATE approvals SET attempt = 2
WHERE state = 'unknown' OR id IN (SELECT approval_id FROM votes WHERE decision = 'retry');

ALTER TABLE approvals FORCE ROW LEVEL SECURITY;
ALTER TABLE votes FORCE ROW LEVEL SECURITY;
