"""Red builds that an agent was asked about because it watches: each commit once, and not too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.domain.surface import FailedBuild, Place
    from openloop.storage.database import Transaction

MOST_AN_HOUR: Final = 6
"""For one repository: a broken base lets every branch fail, and one answer to that is enough."""
STALE_HOURS: Final = 6
"""What failed before that is not news any more, however late it is told."""


async def begin(
    tx: Transaction,
    workspace: WorkspaceId,
    place: Place,
    build: FailedBuild,
    *,
    actor_id: str,
    failed_at: datetime,
) -> bool:
    """Take a commit's red build for this transaction; False where nobody is to be asked about it.

    So it is where a run has begun to look into it, or waits to for the same person; where it is old,
    where a later build of the same branch has failed since, and where there were too many in the last
    hour. What was declined, as whoever is behind it may not ask, does not count.
    """
    return bool(
        await tx.run(
            """
            WITH found AS (
                SELECT * FROM investigations
                WHERE commit_id = %(commit)s AND container = %(container)s
                  AND tenant = %(tenant)s AND surface = %(surface)s
                UNION
                SELECT * FROM investigations
                WHERE container = %(container)s AND tenant = %(tenant)s AND surface = %(surface)s
                  AND begun_at > openloop.now() - make_interval(hours => %(stale)s)),
            others AS (
                SELECT f.*, r.state FROM found f LEFT JOIN runs r ON r.id = f.run_id
                WHERE r.state IS DISTINCT FROM 'declined')
            INSERT INTO investigations
                (workspace_id, surface, tenant, container, commit_id, actor_id, branch, failed_at)
            SELECT %(workspace)s, %(surface)s, %(tenant)s, %(container)s, %(commit)s, %(actor)s,
                   %(branch)s, %(failed_at)s
            WHERE %(failed_at)s > openloop.now() - make_interval(hours => %(stale)s)
              AND NOT EXISTS (
                   SELECT FROM others WHERE commit_id = %(commit)s AND state <> 'queued')
              AND (SELECT count(*) FROM others
                   WHERE begun_at > openloop.now() - interval '1 hour') < %(most)s
              AND NOT EXISTS (
                   SELECT FROM others
                   WHERE branch = %(branch)s AND branch <> '' AND failed_at > %(failed_at)s)
            ON CONFLICT DO NOTHING
            """,
            {
                "workspace": workspace,
                "surface": place.surface,
                "tenant": place.tenant,
                "container": place.container,
                "commit": build.commit,
                "actor": actor_id,
                "branch": build.branch,
                "failed_at": failed_at,
                "stale": STALE_HOURS,
                "most": MOST_AN_HOUR,
            },
        )
    )


async def note_run(
    tx: Transaction, place: Place, commit: str, *, actor_id: str, run_id: RunId
) -> None:
    """Note the run that a red build has opened."""
    await tx.send(
        """
        UPDATE investigations SET run_id = %(run)s
        WHERE commit_id = %(commit)s AND container = %(container)s AND actor_id = %(actor)s
          AND tenant = %(tenant)s AND surface = %(surface)s
        """,
        {
            "run": run_id,
            "commit": commit,
            "actor": actor_id,
            "surface": place.surface,
            "tenant": place.tenant,
            "container": place.container,
        },
    )
