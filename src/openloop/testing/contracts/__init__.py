"""Contract suites: what every integration of a kind must do, runnable by its author."""

from openloop.testing.contracts.intake import Ledger, open_ledger
from openloop.testing.contracts.platform import Platform, Said, Seen, SeenButton
from openloop.testing.contracts.secrets import SecretLogged, no_secret_logged
from openloop.testing.contracts.surface import SurfaceContract

__all__ = [
    "Ledger",
    "Platform",
    "Said",
    "SecretLogged",
    "Seen",
    "SeenButton",
    "SurfaceContract",
    "no_secret_logged",
    "open_ledger",
]
