"""Probes: what is let through more easily is told as what it is."""

from __future__ import annotations

from openloop.domain.probes import Side, probe
from tests import manifests


def test_a_read_under_a_name_that_writes_is_not_told_as_the_write() -> None:
    """Else a grant whose writes are held would read as one that asks nobody."""
    workspace = manifests.workspace_manifest({})
    granted = {
        "name": "github",
        "type": "native",
        "permissions": ["issues:write"],
        "repos": ["acme/platform"],
    }
    asked = {"approvals": {"approvers": ["@maintainers"]}}
    before = manifests.agent_manifest({**asked, "tools": []})
    after = manifests.agent_manifest({**asked, "tools": [granted]})

    found = probe(Side(agent=before, workspace=workspace), Side(agent=after, workspace=workspace))
    told = {each.sentence for each in found}

    assert {each for each in told if each.startswith("github.issues:write")} == {
        "github.issues:write in acme/platform is held for an approval, not denied"
    }
    assert (
        "reading under github.issues:write in acme/platform is done without asking, not denied"
        in told
    )
