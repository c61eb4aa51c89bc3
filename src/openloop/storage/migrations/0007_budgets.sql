-- Budgets on five axes and for days, in tokens too, with thresholds and extensions.

-- Under FORCE the owner sees no rows, so a backfill would change none.
ALTER TABLE budgets NO FORCE ROW LEVEL SECURITY;
ALTER TABLE reservations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE runs NO FORCE ROW LEVEL SECURITY;
ALTER TABLE conversations NO FORCE ROW LEVEL SECURITY;

-- --- who and where, as subjects of budgets -------------------------------------------------------

-- A place, or a person whom nobody has linked to a principal, as `budget.subject_of` does it.
CREATE FUNCTION openloop.subject_of(VARIADIC ids text[]) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT encode(substr(sha256(convert_to(array_to_string(ids, E'\n'), 'UTF8')), 1, 16), 'hex')::uuid $$;

CREATE FUNCTION openloop.day() RETURNS date LANGUAGE sql VOLATILE AS
    $$ SELECT (openloop.now() AT TIME ZONE 'UTC')::date $$;

-- --- rows ----------------------------------------------------------------------------------------

-- Every row is the sum of the reservations of its subject in its span: a row that is there is kept up
-- by every call, whatever limits are in force. One that is not counted is, before it is relied on.
ALTER TABLE budgets
    ADD COLUMN span text NOT NULL DEFAULT 'month' CHECK (span IN ('month', 'day', 'run')),
    ADD COLUMN limit_tokens bigint,
    ADD COLUMN on_exceeded text NOT NULL DEFAULT 'block' CHECK (on_exceeded IN ('block', 'warn', 'ask')),
    ADD COLUMN settled_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN reserved_tokens bigint NOT NULL DEFAULT 0 CHECK (reserved_tokens >= 0),
    ADD COLUMN overrun_tokens bigint NOT NULL DEFAULT 0,
    -- What approvals have added to the limits, and how many there were (on the month of who may ask).
    ADD COLUMN extra_usd numeric(16, 6) NOT NULL DEFAULT 0,
    ADD COLUMN extra_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN extensions integer NOT NULL DEFAULT 0,
    -- The highest threshold that people were told of, in percent.
    ADD COLUMN told smallint NOT NULL DEFAULT 0 CHECK (told IN (0, 50, 80, 100)),
    ADD COLUMN label text NOT NULL DEFAULT '',
    ADD COLUMN is_counted boolean NOT NULL DEFAULT true;
UPDATE budgets SET span = 'run' WHERE axis = 'run';
ALTER TABLE budgets
    ALTER COLUMN span DROP DEFAULT,
    DROP CONSTRAINT budgets_pkey,
    ADD PRIMARY KEY (subject, period, span, workspace_id);

-- The day in UTC, the place and the person: a budget that is made later is counted from them.
ALTER TABLE reservations
    ADD COLUMN day date,
    ADD COLUMN place uuid,
    ADD COLUMN principal uuid,
    ADD COLUMN amount_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN used_tokens bigint;
UPDATE reservations v SET day = (v.reserved_at AT TIME ZONE 'UTC')::date,
    place = openloop.subject_of(c.surface, c.tenant, c.container),
    principal = openloop.subject_of(r.requested_by->>'surface', r.requested_by->>'id'),
    used_tokens = CASE WHEN v.state = 'settled' THEN
        coalesce((v.usage->>'input_tokens')::bigint + (v.usage->>'output_tokens')::bigint, 0) END
FROM runs r JOIN conversations c ON (c.workspace_id, c.id) = (r.workspace_id, r.conversation_id)
WHERE (r.workspace_id, r.id) = (v.workspace_id, v.run_id);
UPDATE reservations SET amount_tokens = coalesce(used_tokens, 0);
UPDATE budgets b SET settled_tokens = coalesce((
    SELECT sum(v.used_tokens) FROM reservations v
    WHERE v.workspace_id = b.workspace_id AND b.subject IN (v.workspace_id, v.agent_id, v.run_id)
      AND (b.span = 'run' OR v.period = b.period)), 0);
ALTER TABLE reservations
    ALTER COLUMN day SET NOT NULL,
    ALTER COLUMN place SET NOT NULL,
    ALTER COLUMN principal SET NOT NULL,
    ALTER COLUMN amount_tokens DROP DEFAULT,
    DROP COLUMN period;
CREATE INDEX ON reservations (agent_id, day, workspace_id);
CREATE INDEX ON reservations (place, day, workspace_id);
CREATE INDEX ON reservations (principal, day, workspace_id);

ALTER TABLE budgets FORCE ROW LEVEL SECURITY;
ALTER TABLE reservations FORCE ROW LEVEL SECURITY;
ALTER TABLE runs FORCE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;

-- --- rules ---------------------------------------------------------------------------------------

-- The rows that every call counts against. A run is its own period.
DROP FUNCTION openloop.budget_keys;
CREATE FUNCTION openloop.budget_keys(workspace uuid, agent uuid, run uuid, month date)
RETURNS TABLE (axis text, subject uuid, span text, period date) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('agent', agent, 'month', month), ('run', run, 'run', date '1970-01-01'),
           ('workspace', workspace, 'month', month) $$;

-- True for the row of the span in which a day is.
CREATE FUNCTION openloop.covers(span text, period date, day date) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE span WHEN 'day' THEN period = day WHEN 'run' THEN true
        ELSE period = date_trunc('month', day::timestamp)::date END $$;

-- The longest answer that what is left affords, in dollars and in tokens; NULL means no limit.
CREATE FUNCTION openloop.affordable(
    usd numeric, tokens bigint, input_tokens bigint, input_price numeric, output_price numeric, longest bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT least(openloop.affordable_tokens(usd, input_tokens, input_price, output_price, longest),
                 CASE WHEN tokens IS NOT NULL THEN greatest(tokens - input_tokens, 0) END) $$;

-- The threshold that a row has reached, in percent. A run says what it has used by ending.
CREATE FUNCTION openloop.threshold(
    span text, on_exceeded text, usd numeric, limit_usd numeric, tokens bigint, limit_tokens bigint)
RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN span = 'run' AND on_exceeded <> 'warn' THEN 0
        WHEN usd >= limit_usd OR tokens >= limit_tokens THEN 100
        WHEN span = 'run' THEN 0
        WHEN usd * 100 >= limit_usd * 80 OR tokens * 100 >= limit_tokens * 80 THEN 80
        WHEN usd * 100 >= limit_usd * 50 OR tokens * 100 >= limit_tokens * 50 THEN 50
        ELSE 0 END::smallint $$;

-- The same in words. No amounts: whoever can read in the thread reads this.
CREATE FUNCTION openloop.threshold_notice(axis text, span text, period date, percent smallint, on_exceeded text)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat(
        CASE percent WHEN 100 THEN 'All' ELSE percent || ' %' END, ' of the budget of ',
        CASE axis WHEN 'principal' THEN 'whoever asked' ELSE 'this ' || axis END,
        CASE span WHEN 'month' THEN to_char(period::timestamp, '" for "FMMonth YYYY')
                  WHEN 'day' THEN to_char(period::timestamp, '" for "YYYY-MM-DD" (UTC)"') ELSE '' END,
        ' is used.',
        CASE WHEN percent = 100 AND on_exceeded = 'warn' THEN ' It only warns: work goes on.' ELSE '' END) $$;

-- --- two ids of one person are one budget --------------------------------------------------------

-- What an id has used since the month began counts for the principal that it is linked to.
CREATE FUNCTION openloop.join_budgets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE openloop.reservations SET principal = NEW.principal_id
        WHERE principal = openloop.subject_of(NEW.surface, NEW.external_id) AND day >= openloop.month();
    IF FOUND THEN
        UPDATE openloop.budgets SET is_counted = false
            WHERE subject IN (NEW.principal_id, openloop.subject_of(NEW.surface, NEW.external_id))
              AND period >= openloop.month();
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER join_budgets AFTER INSERT OR UPDATE OF principal_id ON identities
    FOR EACH ROW EXECUTE FUNCTION openloop.join_budgets();
