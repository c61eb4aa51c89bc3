-- Who has been asked about how much is counted before anybody is asked: what is parked names nobody,
-- and may be any number.

CREATE INDEX approvals_told ON approvals (workspace_id, expires_at)
    WHERE state = 'pending' AND told <> '{}';
