"""The private key of a GitHub App: read, checked, and used to sign who we are (RS256).

joserfc and cryptography are imported only where there is an App.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from openloop.domain.errors import Invalid

if TYPE_CHECKING:
    from datetime import datetime

    from joserfc.jwk import RSAKey

MAX_BYTES = 64 * 1024
FEWEST_BITS = 2048
# GitHub takes 10 minutes at most, counted by its own clock from `iat`.
LIFETIME_SECONDS = 540
BACKDATED_SECONDS = 60


class KeyRefused(Invalid):
    """It is no key that a GitHub App signs with; the message never holds any of it."""

    code = "github_key_refused"


def checked_key(text: str) -> str:
    r"""The PEM text of an RSA key; one whose line ends arrived as `\n` is put right.

    Raises:
        KeyRefused
    """
    from joserfc.errors import JoseError  # noqa: PLC0415

    pem = text.replace("\\n", "\n").strip() + "\n"
    if "PRIVATE KEY-----" not in pem:
        raise KeyRefused("it is not the PEM text of a private key (-----BEGIN RSA PRIVATE KEY...)")
    try:
        key = _imported(pem)
        bits = key.private_key.key_size if key.private_key is not None else 0
    except (JoseError, ValueError, TypeError):
        raise KeyRefused("it cannot be read as an RSA key without a passphrase") from None
    if bits < FEWEST_BITS:
        raise KeyRefused(f"it has {bits} bits and GitHub's keys have {FEWEST_BITS}")
    return pem


def read_key_file(path: str) -> str:
    """The key in a file that nobody else may read.

    Raises:
        KeyRefused
    """
    file = Path(path).expanduser()
    try:
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyRefused(f"{file} cannot be read ({error.strerror})") from None
    with os.fdopen(opened, "rb") as stream:
        mode = os.fstat(opened).st_mode
        if not stat.S_ISREG(mode):
            raise KeyRefused(f"{file} is not a file")
        if stat.S_IMODE(mode) & 0o077:
            raise KeyRefused(f"others may read {file}: chmod 600 {file}")
        written = stream.read(MAX_BYTES + 1)
    if len(written) > MAX_BYTES:
        raise KeyRefused(f"{file} is larger than {MAX_BYTES // 1024} KiB")
    return checked_key(written.decode(errors="replace"))


def sign(app_id: str, pem: str, *, at: datetime) -> str:
    """The App's JWT: who it is, for the next nine minutes.

    https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
    """
    from joserfc import jwt  # noqa: PLC0415

    begins = int(at.timestamp()) - BACKDATED_SECONDS
    claims = {"iss": app_id, "iat": begins, "exp": begins + LIFETIME_SECONDS}
    return jwt.encode({"alg": "RS256", "typ": "JWT"}, claims, _imported(pem))


@lru_cache(maxsize=4)
def _imported(pem: str) -> RSAKey:
    """A key from its text, which takes a hundred times as long as to sign with it."""
    from joserfc.jwk import RSAKey  # noqa: PLC0415

    return RSAKey.import_key(pem)
