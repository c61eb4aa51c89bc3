"""Settings of the installation, from the environment and `.env`; every problem is listed at once.

Integrations and model providers read their own variables (`SLACK_...`, `OPENAI_API_KEY`); what is
here belongs to OpenLoop itself. The environment wins over `.env`. A value may say where it is to be found
(`secretref://...`), rather than being it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dotenv import dotenv_values

from openloop.domain.errors import Misconfigured
from openloop.domain.redaction import Redactor, secret_values
from openloop.runtime.secret_references import follow
from openloop.storage.embedded import default_home

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.secret import SecretRef
    from openloop.runtime.secret_references import Followed

LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Read in here, or before the database is open.
_NEVER_STORED = frozenset(
    {
        "DATABASE_URL",
        "OPENLOOP_GATEWAY_TOKEN",
        "OPENLOOP_GATEWAY_URL",
        "OPENLOOP_HOME",
        "OPENLOOP_SECRETS_KEY",
        "OPENLOOP_WORKSPACE",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are and how they are reached.

    `given` is the environment with `.env` in it; `environ` is the same with its references followed,
    and without the variables of stored secrets (`references` has them all). `redactor` knows every value that is
    secret, and learns those that are read later.
    """

    home: Path
    database_url: str | None
    host: str
    port: int
    public: bool
    workspace: str
    scripts: Path | None
    gateway_url: str | None
    gateway_token: str | None
    concurrency: int
    log_level: str
    audit_checkpoints: tuple[str, ...] = ()
    audit_key: Path | None = None
    secrets_key: Path | None = None
    environ: Mapping[str, str] = field(repr=False)
    given: Mapping[str, str] = field(repr=False)
    references: Mapping[str, SecretRef] = field(default_factory=dict[str, "SecretRef"])
    redactor: Redactor = field(default_factory=Redactor, repr=False, compare=False)

    @property
    def gateway_socket(self) -> Path:
        """The unix socket of the model gateway, where it is not deployed apart."""
        return self.home / "run" / "gateway.sock"

    @property
    def signing_key(self) -> Path:
        """The key that signs the audit's checkpoints."""
        return self.audit_key or self.home / "audit" / "signing-key"

    @property
    def master_keys(self) -> Path:
        """The file of the keys that wrap stored secrets."""
        return self.secrets_key or self.home / "secrets" / "master-keys"

    @property
    def stored_references(self) -> dict[str, str]:
        """Variables whose secret is stored, with the name that it has there."""
        return {name: ref.name for name, ref in self.references.items() if ref.store == "store"}

    @property
    def token_file(self) -> Path:
        """Where the command line finds its token."""
        return self.home / "cli-token"

    @property
    def url(self) -> str:
        """Where the API answers on this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"  # noqa: S104


def read_environment(folder: Path | None = None) -> dict[str, str]:
    """The environment, completed from the `.env` of a folder (default: the current one)."""
    file = (folder or Path.cwd()) / ".env"
    kept = {key: value for key, value in dotenv_values(file).items() if value}
    return {**kept, **os.environ}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings.

    Raises:
        Misconfigured: with every problem, one sentence each
    """
    given = read_environment() if environ is None else environ
    followed = follow(given, never_stored=_NEVER_STORED)
    environ = followed.environ
    problems = list(followed.problems)
    database_url = environ.get("DATABASE_URL") or None
    if database_url and urlsplit(database_url).scheme not in ("postgresql", "postgres"):
        problems.append("DATABASE_URL must begin with postgresql://")
    host = environ.get("OPENLOOP_HOST") or "127.0.0.1"
    public = _flag(environ, "OPENLOOP_ALLOW_PUBLIC", problems)
    if host not in LOOPBACK and not public:
        problems.append(
            f"OPENLOOP_HOST={host} would serve the API without TLS to other machines; put a TLS "
            "proxy in front and set OPENLOOP_ALLOW_PUBLIC=1, or keep 127.0.0.1"
        )
    scripts = environ.get("OPENLOOP_SCRIPTS")
    if scripts and not Path(scripts).is_dir():
        problems.append(f"OPENLOOP_SCRIPTS={scripts} is not a folder")
    if environ.get("OPENLOOP_REDIS_URL"):
        problems.append("OPENLOOP_REDIS_URL is not supported yet in this version; unset it")
    gateway_url = environ.get("OPENLOOP_GATEWAY_URL") or None
    gateway_token = environ.get("OPENLOOP_GATEWAY_TOKEN") or None
    if gateway_url and not gateway_token:
        problems.append("OPENLOOP_GATEWAY_URL needs OPENLOOP_GATEWAY_TOKEN")
    level = (environ.get("OPENLOOP_LOG_LEVEL") or "info").lower()
    if level not in ("debug", "info", "warning", "error"):
        problems.append("OPENLOOP_LOG_LEVEL must be debug, info, warning or error")
    port = _number(environ, "OPENLOOP_PORT", 8000, 1, 65535, problems)
    concurrency = _number(environ, "OPENLOOP_CONCURRENCY", 32, 1, 256, problems)
    if problems:
        message = "The settings are refused: " + "; ".join(problems)
        raise Misconfigured(message, problems=problems)
    home = environ.get("OPENLOOP_HOME")
    return Settings(
        home=Path(home).expanduser().absolute() if home else default_home(environ),
        database_url=database_url,
        host=host,
        port=port,
        public=public,
        workspace=environ.get("OPENLOOP_WORKSPACE") or "default",
        scripts=Path(scripts).absolute() if scripts else None,
        gateway_url=gateway_url,
        gateway_token=gateway_token,
        concurrency=concurrency,
        log_level=level,
        audit_checkpoints=tuple(_listed(environ.get("OPENLOOP_AUDIT_CHECKPOINTS", ""))),
        audit_key=_path(environ.get("OPENLOOP_AUDIT_KEY")),
        secrets_key=_path(environ.get("OPENLOOP_SECRETS_KEY")),
        environ=environ,
        given=given,
        references=followed.references,
        redactor=_redactor(followed),
    )


def _redactor(followed: Followed) -> Redactor:
    return Redactor([*followed.values, *secret_values(followed.environ)])


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _number(
    environ: Mapping[str, str],
    name: str,
    default: int,
    least: int,
    most: int,
    problems: list[str],
) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= most:
        problems.append(f"{name}={text!r} must be a whole number from {least} to {most}")
        return default
    return int(text)


def _flag(environ: Mapping[str, str], name: str, problems: list[str]) -> bool:
    text = environ.get(name, "")
    if text not in ("", "0", "1"):
        problems.append(f"{name}={text!r} must be 0 or 1")
    return text == "1"
