"""The embedded Postgres: a private server, started by whoever needs it first.

Every process of one OPENLOOP_HOME attaches to the same server, and it is gone soon after the last
of them, however that one ended. docs/reference/embedded-postgres.md has the layout and the locks.
"""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from openloop.storage import embedded_watchdog as watchdog
from openloop.storage.embedded_binaries import (
    EmbeddedPostgresError,
    ServerUser,
    find_tool,
    run_tool,
    server_binaries,
    server_user,
)
from openloop.storage.embedded_folder import OWNER, SOCKET, SUPERUSER, Folder, write_private

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "Running", "default_home"]

# They buy memory and processes, not latency; nothing here trades away durability.
_TUNED = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",  # Docker's 64 MB of /dev/shm stay enough
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "1",
    "bgwriter_lru_maxpages": "0",
    "jit": "off",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "timezone": "UTC",
}
_DURABLE_ON_MACOS = {"wal_sync_method": "fsync_writethrough"}

_SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_CREATE_ROLES = r"""
\getenv password OPENLOOP_ROLE_PASSWORD
SELECT 'CREATE ROLE ' || name FROM unnest(ARRAY['openloop', 'openloop_app']) AS name
  WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE openloop LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION
  PASSWORD :'password';
ALTER ROLE openloop_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
GRANT openloop_app TO openloop WITH SET TRUE, INHERIT FALSE;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
"""
_CREATE_DATABASE_IF_MISSING = r"""
SELECT format('CREATE DATABASE %I OWNER openloop', :'name')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
"""
_CREATE_DATABASE = 'CREATE DATABASE :"name" OWNER openloop TEMPLATE :"template";\n'
_FURNISH_DATABASE = r"""
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
\c :"name"
ALTER SCHEMA public OWNER TO openloop;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE EXTENSION IF NOT EXISTS vector;
"""
_DROP_DATABASE = 'DROP DATABASE IF EXISTS :"name" WITH (FORCE);\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a running server is reached: libpq URIs with their passwords, so never shown."""

    dsn: str = field(repr=False)
    superuser_dsn: str = field(repr=False)
    pid: int | None


def default_home(environ: Mapping[str, str]) -> Path:
    """`OPENLOOP_HOME`, else `~/.openloop`, for root `/var/lib/openloop`."""
    if configured := environ.get("OPENLOOP_HOME"):
        return Path(configured).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/openloop")
    return Path(environ.get("HOME") or Path.home()) / ".openloop"


class EmbeddedPostgres:
    """One process's share in the server of a home; its calls block, so asyncio needs a thread.

    `settings` are server settings on top of the tuned ones. They count where this process happens
    to be the one that starts the server, so all processes of a home should pass the same.
    """

    def __init__(
        self, home: Path, *, settings: Mapping[str, str] = MappingProxyType(dict[str, str]())
    ) -> None:
        self._folder = Folder(home.resolve())
        on_macos = _DURABLE_ON_MACOS if sys.platform == "darwin" else {}
        self._settings = {**_TUNED, **on_macos, **settings}
        self._share: int | None = None
        self._mutex = threading.Lock()

    def start(self, *, timeout_seconds: float = 30) -> Running:
        """Attach to the server, starting it where it is not running; again after it died.

        Raises:
            EmbeddedPostgresError: with one sentence that says what to do.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._mutex, contextlib.ExitStack() as undo:
            if self._share is None:
                undo.callback(self._drop_share)
            try:
                self._start(deadline)
            except (OSError, subprocess.CalledProcessError) as error:
                raise EmbeddedPostgresError(
                    f"{self._folder.path} cannot be used ({error}): see that it is writable, or "
                    "set OPENLOOP_HOME to another folder"
                ) from error
            running = self._running(OWNER)
            undo.pop_all()
            return running

    def leave(self, *, timeout_seconds: float = 30) -> None:
        """Give up the share; the last one out waits until the server has stopped.

        It waits because the end of a container's first process kills all others at once.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._mutex:
            if self._share is None:
                return
            # A folder that was deleted meanwhile takes its server with it.
            with contextlib.suppress(FileNotFoundError):
                self._drop_share()
                while not self._has_left():
                    self._pause(deadline, "did not stop in time; its watchdog goes on with it")

    def is_up(self) -> bool:
        """Whether the server answers; a mere connect can succeed on one that was just killed."""
        try:
            if not self._folder.postmaster()[7].startswith("ready"):
                return False
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(5)
                probe.connect(str(self._folder.sockets / SOCKET))
                probe.sendall(_SSL_REQUEST)
                return probe.recv(1) in {b"N", b"S"}
        except (OSError, IndexError):
            return False

    def stop_server(self, *, mode: Literal["fast", "immediate"]) -> None:
        """Stop the server under its users, for tests and benches; `start` brings it back."""
        pid = self._pid() if self.is_up() else None
        if pid is not None:
            send = watchdog.signal_sender(self._folder.path, pid)
            send(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        os.close(self._lock(watchdog.ALIVE, fcntl.LOCK_EX, time.monotonic() + 30))

    def create_database(self, name: str, *, template: str | None = None) -> Running:
        """A database like the product's own: it belongs to `openloop` and has pgvector."""
        sql = _CREATE_DATABASE + _FURNISH_DATABASE
        self._run_sql(sql, name=name, template=template or "template1")
        return self._running(name)

    def drop_database(self, name: str) -> None:
        """Drop the database where there is one, and cut its connections."""
        self._run_sql(_DROP_DATABASE, name=name)

    def run_client(
        self,
        tool: str,
        *arguments: str,
        stdin: str | None = None,
        variables: Mapping[str, str] | None = None,
        timeout_seconds: float = 3600,
    ) -> str:
        """What a bundled tool like `pg_dump` prints; it connects as the superuser.

        Raises:
            EmbeddedPostgresError: with what the tool said.
        """
        connection = {
            "PGHOST": str(self._folder.sockets),
            "PGPORT": "5432",
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self._folder.passwords()[SUPERUSER],
        }
        return run_tool(
            [find_tool(tool), *arguments],
            stdin=stdin,
            variables={**(variables or {}), **connection},
            timeout_seconds=timeout_seconds,
        )

    def _run_sql(self, sql: str, **names: str) -> None:
        for name in names.values():
            if not _DATABASE_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a plain lower-case database name")
        variables = [f"--set={key}={name}" for key, name in names.items()]
        self.run_client(
            "psql",
            *("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", *variables),
            "--dbname=postgres",
            stdin=sql,
            variables={"OPENLOOP_ROLE_PASSWORD": self._folder.passwords()[OWNER]},
            timeout_seconds=60,
        )

    def _running(self, database: str) -> Running:
        passwords = self._folder.passwords()
        host = quote(str(self._folder.sockets), safe="")

        def dsn(role: str) -> str:
            return f"postgresql://{role}:{passwords[role]}@/{database}?host={host}&port=5432"

        return Running(dsn=dsn(OWNER), superuser_dsn=dsn(SUPERUSER), pid=self._pid())

    def _pid(self) -> int | None:
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int(self._folder.postmaster()[0])
        return None

    # Starting

    def _start(self, deadline: float) -> None:
        if self._share is None:
            self._folder.make()
            self._share = self._lock(watchdog.REFS, fcntl.LOCK_SH, deadline)
        starting = self._lock(watchdog.START, fcntl.LOCK_EX, deadline)
        try:
            user = server_user(self._folder.cluster)
            self._folder.make_socket_directory(user)
            self._bring_up(user, deadline)
            if not self._folder.bootstrapped.exists():
                sql = _CREATE_ROLES + _CREATE_DATABASE_IF_MISSING + _FURNISH_DATABASE
                self._run_sql(sql, name=OWNER)
                write_private(self._folder.bootstrapped, "", user)
            self._adopt_if_unwatched()
        finally:
            os.close(starting)

    def _bring_up(self, user: ServerUser, deadline: float) -> None:
        log_offset: int | None = None
        while not self.is_up():
            # Every process of a server inherits the alive lock: free means that there is none.
            with self._try(watchdog.ALIVE) as alive:
                if alive is not None and log_offset is not None:
                    reason = self._folder.why_it_ended(log_offset)
                    raise EmbeddedPostgresError(
                        f"Postgres did not start, see {self._folder.log}: {reason}"
                    )
                if alive is not None:
                    with self._try(watchdog.DOG) as dog:
                        if dog is not None:  # else the last server's is about to go
                            log_offset = self._launch(user, alive, dog, deadline)
            self._pause(deadline, "was not ready in time")

    def _launch(self, user: ServerUser, alive: int, dog: int, deadline: float) -> int:
        """Spawn a watchdog and by it the server; returns where in the log they begin."""
        folder = self._folder
        folder.refuse_out_of_reach(user)
        binaries = server_binaries(folder.path, user)
        remaining = max(1.0, deadline - time.monotonic())
        folder.make_cluster(user, binaries, alive=alive, timeout_seconds=remaining)
        folder.remove_stale()
        log_offset = folder.open_log()
        settings = {**self._settings, "unix_socket_directories": str(folder.sockets)}
        options = [part for k, v in settings.items() for part in ("-c", f"{k}={v}")]
        postgres = [str(binaries / "postgres"), "-D", str(folder.cluster), *options]
        identity = [str(alive), str(user.uid), str(user.gid)]
        self._spawn_watchdog(["run", str(folder.path), *identity, *postgres], [alive, dog])
        return log_offset

    def _adopt_if_unwatched(self) -> None:
        """Give a server whose watchdog was killed a new one."""
        with self._try(watchdog.DOG) as dog:
            pid = self._pid() if dog is not None and self.is_up() else None
            if dog is not None and pid is not None:
                self._spawn_watchdog(["adopt", str(self._folder.path), str(pid)], [dog])

    def _spawn_watchdog(self, arguments: list[str], locks: list[int]) -> None:
        with self._folder.log.open("ab") as log:
            subprocess.run(
                [sys.executable, "-I", "-S", watchdog.__file__, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                pass_fds=locks,
                start_new_session=True,
                check=True,
            )

    # Locks

    @contextlib.contextmanager
    def _try(self, name: str, operation: int = fcntl.LOCK_EX) -> Generator[int | None]:
        lock = watchdog.try_lock(self._folder.path / name, operation)
        try:
            yield lock
        finally:
            if lock is not None:
                os.close(lock)

    def _lock(self, name: str, operation: int, deadline: float) -> int:
        path = self._folder.path / name
        while (lock := watchdog.try_lock(path, operation)) is None:
            self._pause(deadline, f"cannot be asked, since another process keeps {path} locked")
        return lock

    def _pause(self, deadline: float, complaint: str) -> None:
        if time.monotonic() >= deadline:
            raise EmbeddedPostgresError(f"Postgres {complaint}; its log is {self._folder.log}")
        time.sleep(0.005)

    def _drop_share(self) -> None:
        if self._share is not None:
            os.close(self._share)
            self._share = None

    def _has_left(self) -> bool:
        """Whether the server has stopped or others go on using it; asked by one leaver at a time.

        While the server is being stopped its watchdog holds the refs lock, so nobody gets it.
        """
        with self._try(watchdog.START) as asking:
            if asking is None:
                return False
            self._adopt_if_unwatched()
            with self._try(watchdog.ALIVE) as alive, self._try(watchdog.REFS) as alone:
                if alive is not None or alone is not None:
                    return alive is not None
            with self._try(watchdog.REFS, fcntl.LOCK_SH) as shared:
                return shared is not None
