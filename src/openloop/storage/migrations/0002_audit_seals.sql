-- The audit's chain. An event is written where it always was; one sealer takes the events of ended
-- transactions in the order of their commits and links the canonical bytes of each to the one before.

-- What is sealed, kept as it was sealed. The record holds no personal text, only its salted hash.
-- No foreign key to the event: a check for each row would double the cost, and `audit verify` looks.
CREATE TABLE audit_seals (
    workspace_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    event_id bigint NOT NULL,
    record text NOT NULL,
    hash bytea NOT NULL,
    salt bytea,
    sealed_at timestamptz NOT NULL DEFAULT openloop.now(),
    PRIMARY KEY (workspace_id, seq)
);
CREATE UNIQUE INDEX ON audit_seals (event_id, workspace_id);

-- Signed statements of how far the chain went, as they are kept elsewhere.
CREATE TABLE audit_checkpoints (
    workspace_id uuid NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (workspace_id, number)
);

-- Where checkpoints go, and up to which one they are there.
CREATE TABLE audit_destinations (
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    delivered bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    failing_since timestamptz,
    next_try_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (name, workspace_id)
);

-- Erasing the personal text of an event: the id of the `audit.erased` that says so.
ALTER TABLE audit_events ADD COLUMN erased_by bigint;

-- Which event attests a revision.
CREATE INDEX ON audit_events (subject, id, workspace_id) WHERE kind = 'agent.applied';

-- Every op is put into the outbox by a transaction that writes an event: this tells which.
ALTER TABLE outbox ADD COLUMN xid xid8;
ALTER TABLE outbox ALTER COLUMN xid SET DEFAULT pg_current_xact_id();

-- Append-only, but for erasure: text may go, and nothing may come in its place.
CREATE OR REPLACE FUNCTION openloop.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NULL AND NEW.erased_by IS NOT NULL
           AND OLD.actor @> NEW.actor AND OLD.detail @> NEW.detail
           AND (NEW.workspace_id, NEW.id, NEW.xid, NEW.at, NEW.kind, NEW.subject, NEW.run_id)
               IS NOT DISTINCT FROM
               (OLD.workspace_id, OLD.id, OLD.xid, OLD.at, OLD.kind, OLD.subject, OLD.run_id) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION openloop.refuse_seal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit_seals' THEN
        IF OLD.salt IS NOT NULL AND NEW.salt IS NULL
           AND (NEW.workspace_id, NEW.seq, NEW.event_id, NEW.record, NEW.hash, NEW.sealed_at)
               IS NOT DISTINCT FROM
               (OLD.workspace_id, OLD.seq, OLD.event_id, OLD.record, OLD.hash, OLD.sealed_at) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

-- The only way for the application to erase: in the transaction that writes its `audit.erased`.
-- As its owner may be a superuser, whom row security does not bind, it names the workspace itself.
CREATE FUNCTION openloop.erase_audit_texts(
    ids bigint[], actors jsonb[], details jsonb[], erased_in bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = openloop, pg_temp AS $$
DECLARE
    workspace uuid := nullif(current_setting('openloop.workspace', true), '')::uuid;
    erased bigint;
BEGIN
    PERFORM FROM audit_events e
        WHERE e.workspace_id = workspace AND e.id = erased_in AND e.kind = 'audit.erased'
          AND e.xid = pg_current_xact_id();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Erasing is written down first' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE audit_events e SET actor = n.actor, detail = n.detail, erased_by = erased_in
        FROM unnest(ids, actors, details) AS n (id, actor, detail)
        WHERE e.workspace_id = workspace AND e.id = n.id AND e.erased_by IS NULL
          AND EXISTS (SELECT FROM audit_seals s
                      WHERE s.workspace_id = workspace AND s.event_id = n.id AND s.salt IS NOT NULL);
    GET DIAGNOSTICS erased = ROW_COUNT;
    UPDATE audit_seals s SET salt = NULL
        WHERE s.workspace_id = workspace AND s.event_id = ANY (ids) AND s.salt IS NOT NULL;
    RETURN erased;
END $$;
REVOKE ALL ON FUNCTION openloop.erase_audit_texts FROM PUBLIC;
GRANT EXECUTE ON FUNCTION openloop.erase_audit_texts TO openloop_app;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['audit_seals', 'audit_checkpoints', 'audit_destinations'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($policy$CREATE POLICY workspace ON %I
            USING (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)
            WITH CHECK (workspace_id = nullif(current_setting('openloop.workspace', true), '')::uuid)$policy$, t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['audit_seals', 'audit_checkpoints'] LOOP
        EXECUTE format('CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON %I
            FOR EACH ROW EXECUTE FUNCTION openloop.refuse_seal_change()', t);
        EXECUTE format('CREATE TRIGGER append_only_table BEFORE TRUNCATE ON %I
            FOR EACH STATEMENT EXECUTE FUNCTION openloop.refuse_seal_change()', t);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO openloop_app', t);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_destinations TO openloop_app;
