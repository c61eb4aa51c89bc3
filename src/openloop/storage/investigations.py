"""Red builds that an agent was asked about because it watches: each commit once, and not too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.domain.ids import WorkspaceId
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
    failed_at: datetime,
) -> bool:
    """Take a commit's red build for this transaction; False where nobody is to be asked about it.

    So it is where somebody was asked already, where it is old, where a later build of the same branch
    has failed since, and where there were too many in the last hour.
    """
    return bool(
        await tx.run(
            """
            INSERT INTO investigations
                (workspace_id, surface, tenant, container, commit_id, branch, failed_at)
            SELECT %(workspace)s, %(surface)s, %(tenant)s, %(container)s, %(commit)s, %(branch)s,
                   %(failed_at)s
            WHERE %(failed_at)s > openloop.now() - make_interval(hours => %(stale)s)
              AND (SELECT count(*) FROM investigations i
                   WHERE i.container = %(container)s AND i.tenant = %(tenant)s
                     AND i.surface = %(surface)s AND i.workspace_id = %(workspace)s
                     AND i.begun_at > openloop.now() - interval '1 hour') < %(most)s
              AND NOT EXISTS (
                   SELECT FROM investigations i
                   WHERE i.container = %(container)s AND i.tenant = %(tenant)s
                     AND i.surface = %(surface)s AND i.workspace_id = %(workspace)s
                     AND i.begun_at > openloop.now() - make_interval(hours => %(stale)s)
                     AND i.branch = %(branch)s AND i.branch <> '' AND i.failed_at > %(failed_at)s)
            ON CONFLICT DO NOTHING
            """,
            {
                "workspace": workspace,
                "surface": place.surface,
                "tenant": place.tenant,
                "container": place.container,
                "commit": build.commit,
                "branch": build.branch,
                "failed_at": failed_at,
                "stale": STALE_HOURS,
                "most": MOST_AN_HOUR,
            },
        )
    )
