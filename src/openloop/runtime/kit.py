"""What the parts of the runtime share: built once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from openloop.actions.configuration import Configuration
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.models.client import GatewayClient
    from openloop.models.prices import PriceBook
    from openloop.plugin import Surface
    from openloop.runtime.courier import Courier
    from openloop.storage.database import Database
    from openloop.tools.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything a worker works with; `worker` is its identity in claims."""

    worker: UUID
    database: Database
    configuration: Configuration
    surfaces: Mapping[str, Surface]
    registry: Registry
    models: GatewayClient
    prices: Callable[[WorkspaceManifest], PriceBook]
    courier: Courier
