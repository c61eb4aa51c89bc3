-- Logins are vouched for again while they last, and who has left by that comes back by a login.

-- What the identity provider gave along for asking again is kept sealed, as stored secrets are
-- (0008). `renewal_outlives`: it does not end with a person's stay at the provider, so that its being
-- refused says that they are not let in any more.
ALTER TABLE logins
    ADD COLUMN vouched_at timestamptz NOT NULL DEFAULT openloop.now(),
    ADD COLUMN vouch_asked_at timestamptz,
    ADD COLUMN renewal_version integer NOT NULL DEFAULT 0,
    ADD COLUMN renewal_key_id text,
    ADD COLUMN renewal_wrapped_key bytea,
    ADD COLUMN renewal_sealed bytea,
    ADD COLUMN renewal_outlives boolean NOT NULL DEFAULT false,
    ADD CHECK (num_nulls(renewal_key_id, renewal_wrapped_key, renewal_sealed) IN (0, 3));
CREATE INDEX ON logins (vouched_at, workspace_id) WHERE renewal_sealed IS NOT NULL;

-- What one identity provider has refused, the same one may let in again; what a person here or a
-- platform said stays until a person takes it back.
ALTER TABLE principals ADD COLUMN left_by_login boolean NOT NULL DEFAULT false;
