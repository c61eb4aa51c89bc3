"""Who may wake the agent on GitHub: a table of roles, kinds of repository, and events.

Nobody else gets a run that works, a reaction, a comment or a model call. A label, an assignment and
a check's button count as whoever pressed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, LiteralString, get_args

from openloop.testing.rigs.github.rows import Role
from tests.stories.on_github import BOT, EXAMPLE, OnGitHub, open_on_github
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openloop.testing.rigs.github.rows import Issue, Repository, User

Kind = Literal["public", "private", "fork", "triaged"]
Event = Literal["comment", "review comment", "assignment", "label", "check button"]
ROLES: tuple[Role, ...] = get_args(Role)
LABEL = "ask-dev-platform"
WRITERS = frozenset({"write", "maintain", "admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: somebody of a role does something in a kind of repository."""

    role: Role
    kind: Kind
    event: Event
    issue: Issue
    person: User
    wakes: bool


TRIAGED = "triaged"
ALL: tuple[Kind, ...] = get_args(Kind)


def manifests(folder: Path) -> Path:
    """The example's, with a repository of each kind, and one in which triage is enough."""
    folder.mkdir()
    (folder / "workspace.yaml").write_text((EXAMPLE / "workspace.yaml").read_text())
    agent = (EXAMPLE / "dev-platform.yaml").read_text()
    (line,) = (each for each in agent.splitlines() if "type: github, repo" in each)
    strict = line.replace("wake_from: triage, ", "")
    lines = [strict.replace("acme/platform", f"{kind}/platform") for kind in ALL if kind != TRIAGED]
    lines.append(line.replace("acme/platform", f"{TRIAGED}/platform"))
    (folder / "dev-platform.yaml").write_text(agent.replace(line, "\n".join(lines)))
    return folder


async def test_who_wakes_the_agent(conninfo: str, home: Path, tmp_path: Path) -> None:
    folder = manifests(tmp_path / "manifests")
    names = [f"{kind}/platform" for kind in ALL]
    async with open_on_github(conninfo, home=home, manifests=folder, repositories=names) as github:
        github.state.add_repository("mallory/fork", is_fork=True)
        rows = [row for kind in ALL for row in acted(github, kind)]
        await github.webhooks.settled(timeout_seconds=60)
        await looked_at(github)

        found = {described(row): await outcome(github, row) for row in rows}

        assert len(rows) == 6 * 3 * 5 + 2 * 5
        assert found == {described(row): expected(row) for row in rows}


def acted(github: OnGitHub, kind: Kind) -> Iterator[Row]:
    """Let somebody of each role do each thing, each in an issue of its own."""
    state = github.state
    repository = state.repositories[f"{kind}/platform"]
    repository.private = kind == "private"
    for role in ROLES if kind != TRIAGED else ("read", "triage"):
        person = state.add_user(f"{role}-{kind}")
        if role != "none" or kind == "private":
            repository.roles[person.id] = role
        for event in get_args(Event):
            issue = opened(github, repository, kind, event)
            act(github, repository, issue, event, person)
            # A vote needs `write`, whoever may wake the agent.
            is_enough = kind == TRIAGED and role == "triage" and event != "check button"
            yield Row(
                role=role,
                kind=kind,
                event=event,
                issue=issue,
                person=person,
                wakes=role in WRITERS or is_enough,
            )


def opened(github: OnGitHub, repository: Repository, kind: Kind, event: Event) -> Issue:
    by, state = github.person("mallory"), github.state
    if kind != "fork" and event in ("comment", "assignment", "label"):
        return state.add_issue(repository, "It fails", by=by, body="Why, @openloop?")
    fork = state.find_repository("mallory/fork") if kind == "fork" else None
    return state.add_pull(
        repository, "Fix", by=by, head="fix", body="@openloop: why does it fail?", fork=fork
    )


def act(github: OnGitHub, repository: Repository, issue: Issue, event: Event, person: User) -> None:
    state = github.state
    match event:
        case "comment":
            state.add_comment(issue, "@openloop why does it fail?", by=person)
        case "review comment":
            state.add_review_comment(issue, "@openloop why is that?", by=person)
        case "assignment":
            state.assign(issue, [state.users[BOT]], by=person)
        case "label":
            state.set_label(issue, LABEL, by=person)
        case "check button":
            assert issue.pull is not None
            suite = state.ci.suite(repository, issue.pull.head_sha, branch="fix")
            check = state.ci.check(
                repository,
                suite,
                "OpenLoop",
                by=state.users[BOT],
                external_id=f"openloop {issue.number} {token_of(issue)}",
            )
            state.ci.click(repository, check, "approve", by=person)


def token_of(issue: Issue) -> str:
    """A token that names no approval: whoever gets as far as that may act in the repository."""
    return f"no-approval-{issue.id}"


# --- what became of it ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that somebody could notice, or pay for; `refused` is why a vote did not count."""

    answered: int = 0
    eyes: int = 0
    comments: int = 0
    model_calls: int = 0
    refused: str | None = None


def expected(row: Row) -> Outcome:
    if row.event == "check button":
        return Outcome(refused="not_found" if row.wakes else "no_right_in_place")
    return Outcome(answered=1, eyes=1, comments=1, model_calls=1) if row.wakes else Outcome()


def described(row: Row) -> str:
    return f"{row.role} {row.event} in {row.kind}"


async def looked_at(github: OnGitHub) -> None:
    """Wait until workers have looked at everything, and said what there is to say."""

    async def is_over() -> bool:
        (left,) = await query(
            github,
            """
            SELECT (SELECT count(*) FROM runs WHERE state IN ('queued', 'working', 'waiting'))
                 + (SELECT count(*) FROM messages WHERE read_at IS NULL)
                 + (SELECT count(*) FROM choices)
                 + (SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending'))
            """,
            {},
        )
        return left[0] == 0

    await until(is_over, seconds=60)


async def outcome(github: OnGitHub, row: Row) -> Outcome:
    (counted,) = await query(
        github,
        """
        SELECT count(*) FILTER (WHERE r.state = 'done'),
               (SELECT count(*) FROM steps s JOIN runs x ON x.id = s.run_id
                JOIN conversations d ON d.id = x.conversation_id
                WHERE s.kind = 'model' AND d.container = %(container)s
                  AND split_part(d.root, '/', 1) = %(number)s)
        FROM runs r JOIN conversations c ON c.id = r.conversation_id
        WHERE c.container = %(container)s AND split_part(c.root, '/', 1) = %(number)s
        """,
        {"container": f"{row.kind}/platform", "number": str(row.issue.number)},
    )
    refusals = await query(
        github,
        "SELECT detail->>'code' FROM audit_events WHERE kind = 'click.refused' "
        "AND actor->>'external_id' = %(id)s",
        {"id": str(row.person.id)},
    )
    refused = refusals[0][0] if refusals and row.event == "check button" else None
    return Outcome(
        answered=counted[0],
        eyes=len(eyes(row)),
        comments=len(ours(row)),
        model_calls=counted[1],
        refused=refused,
    )


def ours(row: Row) -> list[object]:
    """What the App has said below the issue, in its conversation and on its lines."""
    pull = row.issue.pull
    said = [*row.issue.comments, *(pull.review_comments if pull is not None else ())]
    return [each for each in said if each.author.login == BOT]


def eyes(row: Row) -> list[object]:
    pull = row.issue.pull
    things = [row.issue, *row.issue.comments, *(pull.review_comments if pull is not None else ())]
    return [each for thing in things for each in thing.reactions if each.content == "eyes"]


async def query(github: OnGitHub, statement: LiteralString, values: dict[str, str]) -> list[Any]:
    product = github.product
    async with product.application.database.transaction(product.workspace) as tx:
        return await tx.tuples(statement, values)
