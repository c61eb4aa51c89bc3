"""What the embedded Postgres keeps on disk: HOME/postgres with its cluster, secrets and log."""

import hashlib
import json
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from openloop.storage.embedded_binaries import (
    EmbeddedPostgresError,
    ServerUser,
    out_of_reach,
    postgres_major,
    run_tool,
    user_name,
)

OWNER = "openloop"
SUPERUSER = "postgres"
SOCKET = ".s.PGSQL.5432"

_SOCKET_PATH_LIMIT = 103  # macOS; Linux has 107, and everybody must agree on the place
_LOG_BYTES = 5 * 1024 * 1024
_FREE_BYTES_FOR_INITDB = 256 * 1024 * 1024
_TELLING = ("FATAL", "PANIC", "ERROR", "HINT", "could not")


@dataclass(frozen=True, slots=True)
class Folder:
    """The places below an OPENLOOP_HOME, and how each of them comes about."""

    home: Path

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.home / "postgres"

    @property
    def cluster(self) -> Path:
        """The directory that Postgres calls PGDATA."""
        return self.path / "pgdata"

    @property
    def log(self) -> Path:
        """What the server and the watchdog print."""
        return self.path / "postgres.log"

    @property
    def bootstrapped(self) -> Path:
        """A file that is there once the roles and the database are."""
        return self.cluster / "openloop_bootstrapped"

    @property
    def sockets(self) -> Path:
        """The socket's directory: in the folder, or in /tmp where that path would be too long."""
        inside = self.path / "run"
        path = os.fsencode(inside / SOCKET)
        if len(path) <= _SOCKET_PATH_LIMIT and b"," not in path:  # libpq splits hosts at commas
            return inside
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path("/tmp") / f"openloop-{os.geteuid()}-{digest}"  # noqa: S108 - checked when made

    def make(self) -> None:
        """Make the folder, private to us but for root's server, which needs a way through."""
        own = os.geteuid()
        mode = 0o711 if own == 0 else 0o700
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            if own == 0:
                self._refuse_foreign(self.home)
            # An empty home is new, and opening it for passage shows nothing.
            if self.home.stat().st_uid == own and not any(self.home.iterdir()):
                self.home.chmod(mode)
            self.path.mkdir(exist_ok=True)
            self._refuse_foreign(self.path)
            self.path.chmod(mode)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{self.path} cannot be used ({error.strerror}): set OPENLOOP_HOME to a folder "
                "that you may write to, or DATABASE_URL to a PostgreSQL 16 or newer with pgvector"
            ) from error

    def _refuse_foreign(self, path: Path) -> None:
        owner = path.stat().st_uid
        if owner != os.geteuid():
            raise EmbeddedPostgresError(
                f"{path} belongs to {user_name(owner)!r}: run OpenLoop as that user, or set "
                "OPENLOOP_HOME to a folder of your own"
            )

    def make_socket_directory(self, user: ServerUser) -> None:
        """Make it, or refuse one that somebody else made in /tmp to listen in."""
        place = self.sockets
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            found = place.lstat()
        except FileExistsError:
            found = None
        if (
            found is None
            or not stat.S_ISDIR(found.st_mode)
            or found.st_uid not in {os.geteuid(), user.uid}
        ):
            raise EmbeddedPostgresError(
                f"{place} was made by somebody else: remove it, or set OPENLOOP_HOME to a folder "
                "with a shorter path"
            )
        place.chmod(0o700)
        give(place, user)

    def passwords(self) -> dict[str, str]:
        """The password of each role that logs in."""
        file = self.path / "secrets.json"
        try:
            passwords: dict[str, str] = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise EmbeddedPostgresError(
                f"{file} cannot be read: restore it from your backup, or move {self.path} away to "
                "begin with an empty database"
            ) from error
        return passwords

    def _make_passwords(self) -> dict[str, str]:
        file = self.path / "secrets.json"
        if not file.exists():
            passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, OWNER)}
            unfinished = self.path / "secrets.tmp"
            write_private(unfinished, json.dumps(passwords))
            unfinished.replace(file)
        return self.passwords()

    def refuse_out_of_reach(self, user: ServerUser) -> None:
        """Refuse a folder that root could use and root's server could not."""
        blocked = None if user.is_us else out_of_reach(self.path, user)
        if blocked is not None:
            remedy = (
                f"or run `chmod o+x {blocked}`" if blocked == self.home else "or be a normal user"
            )
            raise EmbeddedPostgresError(
                f"Postgres runs as {user.name!r}, who cannot get through {blocked}: set "
                f"OPENLOOP_HOME to a folder like /var/lib/openloop, {remedy}"
            )

    def make_cluster(
        self, user: ServerUser, binaries: Path, *, alive: int, timeout_seconds: float
    ) -> None:
        """Make the cluster, or refuse one that these binaries must not touch."""
        ours, version = postgres_major(binaries), self.cluster / "PG_VERSION"
        if self.cluster.exists() and version.exists():
            theirs = version.read_text().strip()
            if theirs != ours:
                raise EmbeddedPostgresError(
                    f"{self.cluster} was made by PostgreSQL {theirs} and OpenLoop brings {ours}: "
                    f"dump it with PostgreSQL {theirs} and restore it under a new OPENLOOP_HOME"
                )
            self.passwords()  # refuses before the start where they are lost
        else:
            if self.cluster.exists() and any(self.cluster.iterdir()):
                raise EmbeddedPostgresError(
                    f"{self.cluster} holds files but no database: move it away to begin with an "
                    "empty one, or restore all of it from your backup"
                )
            self._initdb(user, binaries, alive=alive, timeout_seconds=timeout_seconds)
        self.cluster.chmod(0o700)

    def _initdb(
        self, user: ServerUser, binaries: Path, *, alive: int, timeout_seconds: float
    ) -> None:
        """Make a whole cluster beside its place, then move it there."""
        self._refuse_initdb(user)
        unfinished, password = self.path / "pgdata.tmp", self.path / "password.tmp"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        try:
            write_private(password, self._make_passwords()[SUPERUSER], user)
            unfinished.mkdir(mode=0o700)
            give(unfinished, user)
            options = (
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--set=scram_iterations=1",  # ample for random passwords, 3 ms faster to connect
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",  # no dependence on the system's locales
                "--builtin-locale=C.UTF-8",
                "--wal-segsize=4",
                "--no-instructions",
            )
            run_tool(
                [binaries / "initdb", *options],
                user=user,
                pass_fds=[alive],  # an orphaned initdb counts as a living server
                timeout_seconds=timeout_seconds,
            )
        finally:
            password.unlink(missing_ok=True)
        unfinished.rename(self.cluster)
        self._make_names_durable()

    def _make_names_durable(self) -> None:
        """Keep a crash of the machine from taking back the rename, and with it later commits."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _refuse_initdb(self, user: ServerUser) -> None:
        disk = os.statvfs(self.path)
        if disk.f_bavail * disk.f_frsize < _FREE_BYTES_FOR_INITDB:
            raise EmbeddedPostgresError(
                f"less than 256 MB are free in {self.path}: free some space, or set OPENLOOP_HOME "
                "to a folder on another disk"
            )
        if user_name(user.uid) == str(user.uid):
            raise EmbeddedPostgresError(
                f"Postgres needs its user to have a name and uid {user.uid} has none: add it to "
                "/etc/passwd, or run OpenLoop as a user that is there"
            )

    def remove_stale(self) -> None:
        """Remove what names a server; only for who knows that no process of one exists."""
        for stale in (self.cluster / "postmaster.pid", *self.sockets.glob(f"{SOCKET}*")):
            stale.unlink(missing_ok=True)

    def open_log(self) -> int:
        """The log's size, after putting a long one aside."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.path / "postgres.log.1")
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def why_it_ended(self, log_offset: int) -> str:
        """What the server said last, as one line."""
        with self.log.open("rb") as log:
            log.seek(log_offset)
            lines = log.read().decode(errors="replace").splitlines()
        telling = [line for line in lines if any(word in line for word in _TELLING)]
        return "; ".join((telling or lines)[-3:]) or "it said nothing"

    def postmaster(self) -> list[str]:
        """The lines of postmaster.pid: the pid first, the state eighth.

        Raises:
            OSError: there is no such file.
        """
        return (self.cluster / "postmaster.pid").read_text().splitlines()


def give(path: Path, user: ServerUser) -> None:
    """Make the server's user the owner; only root has a reason to."""
    if user.is_us:
        return
    try:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f"this root may not give files to {user.name!r}, as Postgres needs: run OpenLoop (or "
            "its container) as a normal user"
        ) from error


def write_private(path: Path, text: str, user: ServerUser | None = None) -> None:
    """Write a new file that only its owner reads; never through a link that lies in its place."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if user is not None:
            give(path, user)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
