"""What tests of the policy share: a small agent, its calls, and the policy under the best facts."""

from __future__ import annotations

from typing import Any

from openloop.domain import policy
from openloop.domain.facts import AT_BEST, RunFacts
from openloop.domain.policy import Call, Verdict
from openloop.domain.tool import Effect
from tests import make

WORKSPACE = make.workspace_manifest()
WRITE = Call(
    toolset="github", permission="issues:write", effect=Effect.WRITE, resource="acme/platform"
)
READ = Call(
    toolset="github", permission="issues:read", effect=Effect.READ, resource="acme/platform"
)


def judge(call: Call, manifest: Any, workspace: Any, facts: RunFacts = AT_BEST) -> Verdict:
    """The policy under the facts that let through the most."""
    return policy.judge(call, manifest, workspace, facts)


def agent(*permissions: str, repos: list[str] | None = None, **approvals: Any) -> Any:
    """An agent with these permissions and rules."""
    tool: dict[str, Any] = {"name": "github", "type": "native", "permissions": list(permissions)}
    if repos is not None:
        tool["repos"] = repos
    return make.agent_manifest(
        {
            "tools": [tool] if permissions else [],
            "approvals": {"approvers": ["@maintainers"], **approvals},
        }
    )
