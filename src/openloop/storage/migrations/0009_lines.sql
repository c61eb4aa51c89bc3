-- Priorities, and the lines in which runs wait where an agent or a workspace has a limit of concurrent runs.

ALTER TABLE conversations
    -- 0 interactive, 1 scheduled, 2 batch: given when the conversation is opened.
    ADD COLUMN priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 2),
    -- Which limit its run waits for, whose run it is, and since when it is queued; NULL while in no line.
    ADD COLUMN line text CHECK (line IN ('agent', 'workspace')),
    ADD COLUMN line_agent uuid,
    ADD COLUMN line_since timestamptz,
    ADD CHECK ((line IS NULL) = (line_agent IS NULL) AND (line IS NULL) = (line_since IS NULL));
CREATE INDEX conversations_agent_line ON conversations (line_agent, priority, line_since, id, workspace_id)
    WHERE line IS NOT NULL;
CREATE INDEX conversations_workspace_line ON conversations (priority, line_since, id, workspace_id)
    WHERE line = 'workspace';

-- A wake-up as before, which now carries its priority: what people wait for is fetched first.
-- Its body is looked at when it is called: the owner, for whom row security is off here, may not.
SET LOCAL check_function_bodies = off;
DROP FUNCTION openloop.wake(uuid, uuid);
CREATE FUNCTION openloop.wake(workspace uuid, conversation uuid, ranked smallint DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    SELECT procrastinate.procrastinate_defer_jobs_v1(ARRAY[ROW(
        'runs', 'advance',
        -1000 * rank - (SELECT count(*) FROM (
            SELECT FROM openloop.runs WHERE workspace_id = workspace AND state = 'queued' LIMIT 200) AS queued),
        NULL, NULL,
        jsonb_build_object('workspace', workspace, 'conversation', conversation, 'priority', rank), NULL
    )]::procrastinate.procrastinate_job_to_defer_v1[])
    FROM (SELECT coalesce(ranked, (SELECT priority FROM openloop.conversations WHERE id = conversation), 0)
          AS rank) AS known
$$;
