"""Contract suites: what every integration of a kind must do, runnable by its author."""

from openloop.testing.contracts.intake import Ledger, open_ledger
from openloop.testing.contracts.platform import Incoming, Platform, Said, Seen, SeenButton
from openloop.testing.contracts.secrets import SecretLogged, no_secret_logged
from openloop.testing.contracts.surface import Asks, Posts, SurfaceContract, TakesIn, Tells

__all__ = [
    "Asks",
    "Incoming",
    "Ledger",
    "Platform",
    "Posts",
    "Said",
    "SecretLogged",
    "Seen",
    "SeenButton",
    "SurfaceContract",
    "TakesIn",
    "Tells",
    "no_secret_logged",
    "open_ledger",
]
