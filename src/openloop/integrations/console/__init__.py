"""The console: talk to an agent in a terminal, through the API and the same runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.plugin import Integration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.plugin import Surface

__all__ = ["integration"]


def _surface(environment: Mapping[str, str]) -> Surface | None:
    """The console is always there: it has nothing to configure."""
    # Late, so that discovering the integrations stays cheap.
    from openloop.integrations.console.surface import ConsoleSurface  # noqa: PLC0415

    return ConsoleSurface()


integration = Integration(name="console", surface=_surface)
