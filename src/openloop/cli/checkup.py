"""What `doctor` looks at, part by part."""

from __future__ import annotations

import asyncio
import platform
import stat
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast
from urllib.parse import urlsplit

from openloop import settings as reading
from openloop.cli import audit_checkup, bookmarks_checkup, secrets_checkup
from openloop.cli.failures import Exit
from openloop.cli.output import Format, field, show_list
from openloop.cli.processes import probe
from openloop.domain.change import ChangeState
from openloop.domain.errors import Invalid, Misconfigured, OpenLoopError
from openloop.models.client import GatewayClient
from openloop.models.errors import ModelFailure
from openloop.plugin import discover
from openloop.storage import agents, changes, migrations
from openloop.storage.database import DISCONNECTED, Database
from openloop.storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from openloop.domain.surface import Finding
    from openloop.plugin import Integration
    from openloop.settings import Settings
    from openloop.storage.database import Transaction

State = Literal["ok", "problem", "off", "inactive"]

_MOST_SKEW_SECONDS: Final = 5
_SECONDS: Final = 15.0
DATABASE_SECONDS = 4.0
_START: Final = "Start it: openloop up"
_CHECKS = (
    field("PART", "part"),
    field("STATE", "state"),
    field("DETAIL", "detail"),
    field("REMEDY", "remedy"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line: what was looked at, how it is, and what to do about it."""

    part: str
    state: State
    detail: str
    remedy: str = ""


def show(checks: Sequence[Check], output: Format) -> int:
    """Write the checks; the exit status."""
    rows = [asdict(check) for check in checks]
    is_well = all(check.state != "problem" for check in checks)
    show_list(
        {"ok": is_well, "checks": rows},
        rows,
        _CHECKS,
        output="wide" if output == "table" else output,
        name=lambda row: f"check/{row['part']}",
        nothing="There is nothing to look at.",
    )
    return Exit.OK if is_well else Exit.FAILURE


def check_integration(name: str) -> list[Check]:
    """What one integration says of itself."""
    return asyncio.run(_integration(discover()[name], reading.load()))


def check_everything() -> list[Check]:
    """Every part of this installation."""
    environ = reading.read_environment()
    checks = [_python(), *_private_file(Path.cwd() / ".env", ".env")]
    try:
        settings = reading.load(environ)
    except Misconfigured as error:
        remedy = "See docs/reference/settings.md"
        problems = [
            Check(part="settings", state="problem", detail=each, remedy=remedy)
            for each in error.problems or (str(error),)
        ]
        return [*checks, *problems]
    checks.append(Check(part="settings", state="ok", detail=f"data is in {settings.home}"))
    checks += _private_file(settings.token_file, "token file")
    return checks + asyncio.run(_running_parts(settings))


async def _running_parts(settings: Settings) -> list[Check]:
    settings, secrets = await secrets_checkup.look(settings, _opened)
    checks = [of_finding("secrets", each) for each in secrets]
    found = await asyncio.gather(
        _server(settings),
        _gateway(settings),
        *(_integration(each, settings) for each in discover().values()),
        _database(settings),
    )
    return [*checks, *(check for part in found for check in part)]


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.platform()}"
    return Check(part="python", state="ok", detail=detail)


def _private_file(file: Path, part: str) -> list[Check]:
    """A file with secrets belongs to one person."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return [Check(part=part, state="off", detail=f"there is none at {file}")]
    if mode & 0o077:
        detail = f"others may read {file} (mode {mode:o})"
        return [Check(part=part, state="problem", detail=detail, remedy=f"chmod 600 {file}")]
    return [Check(part=part, state="ok", detail=f"{file}, only for you")]


async def _server(settings: Settings) -> list[Check]:
    address = (urlsplit(settings.url).hostname or "", settings.port)
    answered = await probe.ask(address, "/readyz")
    if answered is None:
        detail = f"nobody answers at {settings.url}"
        return [Check(part="server", state="off", detail=detail, remedy=_START)]
    status, said = answered
    if status == 200 and said.get("status") == "ready":
        return [Check(part="server", state="ok", detail=f"ready at {settings.url}")]
    reasons = cast("dict[str, str] | None", said.get("reasons"))
    if reasons is None:
        detail = f"what answers at {settings.url} is no OpenLoop server"
        remedy = "Stop that program, or set OPENLOOP_PORT to another port"
        return [Check(part="server", state="problem", detail=detail, remedy=remedy)]
    return [
        Check(part=f"server: {part}", state="problem", detail=reason)
        for part, reason in reasons.items()
    ]


async def _gateway(settings: Settings) -> list[Check]:
    client = GatewayClient(settings.gateway_url or settings.gateway_socket, settings.gateway_token)
    try:
        health, providers = await client.health(), await client.providers()
    except ModelFailure as failure:
        if settings.gateway_url is None:
            detail = "no model gateway is running here"
            return [Check(part="models", state="off", detail=detail, remedy=_START)]
        remedy = "Look at OPENLOOP_GATEWAY_URL and OPENLOOP_GATEWAY_TOKEN, and at that process"
        return [Check(part="models", state="problem", detail=str(failure), remedy=remedy)]
    finally:
        await client.aclose()
    if health.litellm == "failed":
        detail, remedy = "what calls real models could not be loaded", "See the gateway's log"
        return [Check(part="models", state="problem", detail=detail, remedy=remedy)]
    ready = sorted(name for name, each in providers.items() if each.ready and each.keys)
    return [
        Check(
            part="models",
            state="ok",
            detail=f"{health.status}; keys for: {', '.join(ready) or 'no provider'}",
            remedy="" if ready else "Only scripted and local models answer: set a provider's key",
        )
    ]


async def _integration(integration: Integration, settings: Settings) -> list[Check]:
    """What its faces say of themselves, each asked on its own."""
    try:
        surface = integration.surface(settings.environ) if integration.surface else None
        toolset = integration.toolset(settings.environ) if integration.toolset else None
    except Misconfigured as error:
        return [
            Check(part=integration.name, state="problem", detail=problem)
            for problem in error.problems or (str(error),)
        ]
    faces = [face for face in (surface, toolset) if face is not None]
    if not faces:
        secrets = [variable.name for variable in integration.variables if variable.secret]
        remedy = f"Set {secrets[0]}" if secrets else ""
        return [Check(part=integration.name, state="off", detail="not configured", remedy=remedy)]
    checks: list[Check] = []
    for face in faces:
        try:
            async with asyncio.timeout(_SECONDS):
                findings = await face.check()
        except (OpenLoopError, TimeoutError) as error:
            detail = str(error) or "it did not answer in time"
            checks.append(Check(part=integration.name, state="problem", detail=detail))
        else:
            checks += [of_finding(integration.name, finding) for finding in findings]
        finally:
            await face.aclose()
    return checks


async def _database(settings: Settings) -> list[Check]:
    if settings.database_url is None and not (settings.home / "postgres").exists():
        detail = f"there is none in {settings.home} yet"
        remedy = "The first `openloop up` makes it"
        return [Check(part="database", state="off", detail=detail, remedy=remedy)]
    remedy = "Look at DATABASE_URL and that server"
    try:
        async with _opened(settings) as database:
            return await _rows(database, settings)
    except EmbeddedPostgresError as error:
        return [Check(part="database", state="problem", detail=str(error))]
    except Invalid as error:
        return [Check(part="database", state="problem", detail=str(error))]
    except (OpenLoopError, TimeoutError, *DISCONNECTED) as error:
        detail = str(error) or "it does not answer"
        return [Check(part="database", state="problem", detail=detail, remedy=remedy)]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[Database]:
    """The database as it is: nothing is migrated. The embedded server runs for as long as this."""
    embedded = EmbeddedPostgres(settings.home) if settings.database_url is None else None
    try:
        dsn = settings.database_url
        if embedded is not None:
            dsn = (await asyncio.to_thread(embedded.start)).dsn
        assert dsn is not None  # noqa: S101  # one of the two
        database = Database(dsn, size=1, name="openloop-doctor")
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                await database.open()
            yield database
        finally:
            await database.close()
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.leave)


async def _rows(database: Database, settings: Settings) -> list[Check]:
    where = "DATABASE_URL" if settings.database_url is not None else f"embedded in {settings.home}"
    async with database.directory() as tx:
        missing = await migrations.pending(tx.connection)
        if missing:
            detail = f"{where}; not applied yet: {', '.join(missing)}"
            remedy = "openloop db migrate"
            return [Check(part="database", state="problem", detail=detail, remedy=remedy)]
        checks = [
            Check(part="database", state="ok", detail=f"{where}; up to date, role openloop_app"),
            await _clock(tx),
        ]
        workspaces = await agents.list_workspaces(tx)
    for workspace in workspaces:
        async with database.transaction(workspace.id) as tx:
            checks += [*await _agents(tx), *await _sources(tx)]
            findings = await audit_checkup.look(tx, settings)
            checks += [of_finding("audit", each) for each in findings]
            checks += [of_finding("events", each) for each in await bookmarks_checkup.look(tx)]
    return checks


def of_finding(part: str, finding: Finding) -> Check:
    """A finding of some part, as a line."""
    state: State = "ok" if finding.ok else "problem"
    return Check(
        part=f"{part}: {finding.subject}",
        state=state,
        detail=finding.detail,
        remedy=finding.remedy,
    )


async def _clock(tx: Transaction) -> Check:
    theirs = await tx.now()
    skew = (datetime.now(UTC) - theirs).total_seconds()
    if abs(skew) > _MOST_SKEW_SECONDS:
        detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the database's"
        remedy = "Set the clocks of both machines (NTP)"
        return Check(part="clock", state="problem", detail=detail, remedy=remedy)
    return Check(part="clock", state="ok", detail="agrees with the database's")


async def _agents(tx: Transaction) -> list[Check]:
    checks: list[Check] = []
    for agent in await agents.list_agents(tx):
        revision = await agents.get_revision(tx, agent.live_revision_id)
        part = f"agent {agent.name}"
        checks.append(Check(part=part, state="ok", detail=f"revision {revision.number} is live"))
        checks += [
            Check(part=part, state="inactive", detail=f"{each.part} inactive: {each.reason}")
            for each in revision.inactive
        ]
    return checks


async def _sources(tx: Transaction) -> list[Check]:
    """What is synced from where, and what waits for somebody's approval."""
    checks: list[Check] = []
    for source in await changes.list_sources(tx):
        detail = f"{source.outcome} at {source.version[:12]}, {source.synced_at:%Y-%m-%d %H:%M}Z"
        part = source.origin
        if source.outcome == "refused":
            detail = f"{detail}: {source.detail}"
            remedy = "What was in force stays so; correct the manifests"
            checks.append(Check(part=part, state="problem", detail=detail, remedy=remedy))
        elif source.is_late:
            detail = f"nothing since {source.synced_at:%Y-%m-%d %H:%M}Z"
            remedy = f"Start it again: openloop agents {source.origin}"
            checks.append(Check(part=part, state="problem", detail=detail, remedy=remedy))
        else:
            checks.append(Check(part=part, state="ok", detail=detail))
    for change in await changes.list_newest(tx, limit=20, state=ChangeState.PENDING):
        about = ", ".join(f"{each.kind} {each.name}" for each in change.documents)
        detail = f"{about} waits for somebody else's approval"
        remedy = f"openloop changes get {change.id}"
        checks.append(Check(part="configuration", state="ok", detail=detail, remedy=remedy))
    return checks
