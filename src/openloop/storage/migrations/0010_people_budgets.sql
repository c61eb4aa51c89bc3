-- What an id has used goes with it: to whom it is linked, and away again when it is unlinked.

-- The usage of this month that was asked for under an id, from one subject to another. Both are counted
-- anew before anything relies on them; until then nothing is settled on them either.
CREATE FUNCTION openloop.move_usage(asked_surface text, asked_id text, before uuid, after uuid)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE openloop.reservations v SET principal = after FROM openloop.runs r
        WHERE (r.workspace_id, r.id) = (v.workspace_id, v.run_id)
          AND v.principal = before AND before <> after AND v.day >= openloop.month()
          AND r.requested_by->>'surface' = asked_surface AND r.requested_by->>'id' = asked_id;
    IF FOUND THEN
        -- In the order in which calls lock them.
        PERFORM 1 FROM openloop.budgets WHERE subject IN (before, after) AND period >= openloop.month()
            ORDER BY axis, span, subject FOR UPDATE;
        UPDATE openloop.budgets SET is_counted = false
            WHERE subject IN (before, after) AND period >= openloop.month();
    END IF;
END $$;

CREATE OR REPLACE FUNCTION openloop.join_budgets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM openloop.move_usage(NEW.surface, NEW.external_id,
        openloop.subject_of(NEW.surface, NEW.external_id), NEW.principal_id);
    IF TG_OP = 'UPDATE' THEN
        PERFORM openloop.move_usage(NEW.surface, NEW.external_id, OLD.principal_id, NEW.principal_id);
        -- A login that turns out to be somebody's: what was asked for on the console goes along.
        IF EXISTS (SELECT FROM openloop.principals p
                   WHERE p.id = OLD.principal_id AND starts_with(p.name, 'login:')) THEN
            PERFORM openloop.move_usage('console', OLD.principal_id::text, OLD.principal_id, NEW.principal_id);
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- People unlink their own ids; without this, each time would begin a budget anew. What manifests say is
-- deleted and written again at each apply, and stays where it is.
CREATE FUNCTION openloop.part_budgets() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- Whose the id is by what else is said of it; a subject of its own where it is nobody's.
    whose uuid := coalesce((
        SELECT i.principal_id FROM openloop.identities i
        WHERE i.external_id = OLD.external_id AND i.surface = OLD.surface
        ORDER BY i.origin = 'manifest' DESC, i.tenant DESC LIMIT 1),
        openloop.subject_of(OLD.surface, OLD.external_id));
BEGIN
    PERFORM openloop.move_usage(OLD.surface, OLD.external_id, OLD.principal_id, whose);
    RETURN NULL;
END $$;
CREATE TRIGGER part_budgets AFTER DELETE ON identities
    FOR EACH ROW WHEN (OLD.origin = 'link') EXECUTE FUNCTION openloop.part_budgets();

-- --- whose an id was ------------------------------------------------------------------------------

-- Nobody decides what they asked for: not even where the id by which they asked is another's by now.
CREATE TABLE former_identities (
    workspace_id uuid NOT NULL,
    surface text NOT NULL,
    tenant text NOT NULL,
    external_id text NOT NULL,
    principal_id uuid NOT NULL,
    left_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (external_id, surface, tenant, principal_id, workspace_id),
    FOREIGN KEY (workspace_id, principal_id) REFERENCES principals (workspace_id, id)
);
CREATE INDEX ON former_identities (left_at, workspace_id);

ALTER TABLE former_identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE former_identities FORCE ROW LEVEL SECURITY;
CREATE POLICY workspace ON former_identities
    USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
    WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON former_identities TO openloop_app;

-- Kept for as long as anything that was asked for under an id may still be decided.
CREATE FUNCTION openloop.note_former_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM openloop.former_identities WHERE left_at < openloop.now() - interval '90 days';
    INSERT INTO openloop.former_identities (workspace_id, surface, tenant, external_id, principal_id)
        VALUES (OLD.workspace_id, OLD.surface, OLD.tenant, OLD.external_id, OLD.principal_id)
        ON CONFLICT (external_id, surface, tenant, principal_id, workspace_id)
        DO UPDATE SET left_at = openloop.now();
    RETURN NULL;
END $$;
CREATE TRIGGER note_former_identity AFTER DELETE OR UPDATE OF principal_id ON identities
    FOR EACH ROW EXECUTE FUNCTION openloop.note_former_identity();
