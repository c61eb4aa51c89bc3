"""What the API is made of: everything a route may use, built by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from fastapi import Depends, Request

from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.storage.database import Database

if TYPE_CHECKING:
    from openloop.actions.apply import World
    from openloop.actions.dry_run import LookAt
    from openloop.actions.secrets import KeyRing
    from openloop.api.oidc import IdentityProvider
    from openloop.domain.approval import Approval
    from openloop.domain.ids import ApprovalId, WorkspaceId
    from openloop.domain.principal import Principal
    from openloop.domain.tool import Arguments
    from openloop.models.client import GatewayClient
    from openloop.plugin import Surface


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things may take. A platform is answered within two seconds, whatever happens."""

    ack_seconds: float = 1.8
    request_seconds: float = 30.0
    poll_seconds: float = 0.5
    ping_seconds: float = 15.0
    recheck_seconds: float = 10.0
    queued_events: int = 1000


class Edit(Protocol):
    """Gives a held call other arguments, after the gate has judged them."""

    async def __call__(
        self,
        workspace: WorkspaceId,
        approval_id: ApprovalId,
        arguments: Arguments,
        *,
        seen: str,
        by: Principal,
        via: str,
        reason: str,
    ) -> Approval: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKit:
    """The parts behind the API.

    `allowed_hosts` are names (without ports) that the API answers as beside those of this
    machine. `ready_checks` says of every other part of this installation that a process knows
    about, by name, why it is not ready, or None where it is. `look_at` says what the policy sees in
    a recorded call. `master_keys` seal what logins are vouched for again with.
    """

    database: Database
    configuration: Configuration
    intake: Intake
    surfaces: Mapping[str, Surface]
    world: World
    look_at: LookAt
    models: GatewayClient
    edit: Edit
    ready_checks: Callable[[], Awaitable[Mapping[str, str | None]]]
    master_keys: KeyRing
    identity_provider: IdentityProvider | None = None
    allowed_hosts: frozenset[str] = frozenset()
    pace: Pace = Pace()


def kit_of(request: Request) -> ApiKit:
    """The kit of the application that serves this request."""
    return cast("ApiKit", request.app.state.kit)


async def _kit(request: Request) -> ApiKit:
    return kit_of(request)


Kit = Annotated[ApiKit, Depends(_kit)]
