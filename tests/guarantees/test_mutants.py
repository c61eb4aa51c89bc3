"""A few mutants of the rules, chosen by a seed: the tests beside them kill each of them.

`./run bench mutants` plays all of them, against all tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.measuring import ROOT
from bench.mutants.figures import equivalents
from bench.mutants.playing import KILLED, outcomes

if TYPE_CHECKING:
    from pathlib import Path

MODULES = (
    *("domain/resources", "domain/typed", "domain/facts", "domain/circumstances"),
    *("domain/approval", "domain/budget", "domain/budget_rules"),
)
TESTS = [
    f"tests/domain/test_{name}.py"
    for name in (
        *(
            "resources",
            "typed",
            "typed_parsed",
            "facts",
            "circumstances",
            "addresses",
            "policy_terms",
            "rights",
        ),
        *("approval", "approval_people", "budget", "budget_rules"),
    )
]
OF_EACH = 3


def test_a_mutant_of_a_rule_does_not_live(tmp_path: Path) -> None:
    seed = os.environ.get("OPENLOOP_SEED", "0")
    out = tmp_path / "played.jsonl"
    choice = ["--sample", str(OF_EACH), "--seed", seed, "--out", str(out), "--tests", *TESTS]
    command = [sys.executable, "-m", "bench.mutants.playing", "policy", *MODULES, *choice]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = outcomes(out)
    assert len(found) == OF_EACH * len(MODULES), played.stdout + played.stderr
    alive = {name for name, each in found.items() if each.outcome not in KILLED}
    assert not alive - equivalents().keys(), f"seed {seed}"
