"""Every audit kind that the code writes is documented, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from openloop.domain.approval import ApprovalState
from openloop.domain.run import RunState

ROOT = Path(__file__).parents[2]
FAMILIES = (
    "agent approval audit brake budget call change checkpoint click config effect glass identity login "
    "memory message model place principal run secret token workspace"
)
KIND = re.compile(rf"\b(?:{FAMILIES.replace(' ', '|')})\.[a-z_]+\b")

# Two kinds are put together from a state.
COMPOSED = {f"run.{state}" for state in RunState if state.is_over} | {
    f"approval.{state}" for state in (ApprovalState.APPROVED, ApprovalState.DENIED)
}


def test_the_reference_lists_exactly_the_kinds_that_are_written() -> None:
    written = set(COMPOSED) | {"approval.confirmed"}
    for folder in ("actions", "storage"):
        for file in (ROOT / "src" / "openloop" / folder).glob("*.py"):
            for line in file.read_text().splitlines():
                if "import" not in line:
                    written |= set(re.findall(rf"""["']({KIND.pattern})["']""", line))
    table = (ROOT / "docs" / "reference" / "audit.md").read_text().split("| Kind |")[1]
    documented = set(re.findall(rf"`({KIND.pattern})`", table))
    assert documented == written
