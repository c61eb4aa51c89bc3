"""Who may see which variable: provider keys for the gateway, everything else for the others."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from openloop import settings
from openloop.models.providers import PROVIDERS, variable_names
from openloop.runtime.secret_references import references_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# What the gateway gets beside the providers' variables: an allow-list, so that the secrets of
# surfaces and tools, the database's address and whatever comes later stay outside.
_FOR_ANY_PROGRAM: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|LANG|LANGUAGE|LC_\w+|LD_LIBRARY_PATH|VIRTUAL_ENV"
    r"|PYTHON\w*|XDG_\w+|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|NO_COLOR"
    r"|(?:https?|all|no)_proxy|(?:HTTPS?|ALL|NO)_PROXY"
)
_OF_THE_GATEWAY: Final = frozenset(
    {"OPENLOOP_HOME", "OPENLOOP_SCRIPTS", "OPENLOOP_LOG_LEVEL", "OPENLOOP_GATEWAY_TOKEN"}
)
# And what it takes to read a stored secret, where a provider's key is one.
_OF_THE_STORE: Final = frozenset({"DATABASE_URL", "OPENLOOP_WORKSPACE", "OPENLOOP_SECRETS_KEY"})
# A person's own, for the commands that call the API.
_OF_THE_COMMAND_LINE: Final = frozenset({"OPENLOOP_TOKEN", "OPENLOOP_URL"})


def for_gateway(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the one process that holds provider keys."""
    own = variable_names() | _OF_THE_GATEWAY
    allowed = own | _referred_to(environ, by=own)
    references = references_in(environ)
    if any(name in references and references[name].store == "store" for name in own):
        allowed |= _OF_THE_STORE
    return {
        name: text
        for name, text in environ.items()
        if name in allowed or _FOR_ANY_PROGRAM.fullmatch(name)
    }


def for_serve_and_worker(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the processes that never see a provider key."""
    hidden = variable_names() | _OF_THE_COMMAND_LINE
    others = environ.keys() - hidden
    hidden |= _referred_to(environ, by=hidden) - _referred_to(environ, by=others)
    return {name: text for name, text in environ.items() if name not in hidden}


def _referred_to(environ: Mapping[str, str], *, by: Collection[str]) -> set[str]:
    """The variables in which references of other variables end."""
    references = references_in(environ)
    return {ref.name for name, ref in references.items() if name in by and ref.store == "env"}


def has_provider(environ: Mapping[str, str]) -> bool:
    """Whether a real model could be called: litellm will be needed."""
    return any(
        environ.get(name)
        for provider in PROVIDERS.values()
        for name in (*provider.key_names, *(provider.base_names if provider.local else ()))
    )


def load_settings(*, is_child: bool, keys: bool) -> settings.Settings:
    """The settings of a process; the variables that are not for it are dropped first.

    A child has its whole environment from its parent: it does not read `.env`, which holds more.
    """
    environ = dict(os.environ) if is_child else settings.read_environment()
    if not keys:
        environ = for_serve_and_worker(environ)
        for name in os.environ.keys() - environ.keys():
            del os.environ[name]
    return settings.load(environ)
