-- When a person proved who they are, as the identity provider says it; by a login from before this
-- nobody knows, and it counts from when that was begun.
ALTER TABLE logins ADD COLUMN authed_at timestamptz;
-- A way on which the provider was told to ask its person again: what it answers is held to that.
ALTER TABLE login_attempts ADD COLUMN again boolean NOT NULL DEFAULT false;

-- Of the rights of its role a token may carry some only; without a list it carries all of them.
ALTER TABLE tokens ADD COLUMN only_rights text[] CHECK (cardinality(only_rights) > 0);
