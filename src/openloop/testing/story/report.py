"""What is told after the story: the issue, the cost, who did what, and what the demo changed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from openloop.testing.story.checks import created_issues

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from openloop.testing.story.checks import Check
    from openloop.testing.story.facts import Facts, Json
    from openloop.testing.story.stage import Stage
    from openloop.testing.story.transcript import Transcript


def tell_issue(stage: Stage, transcript: Transcript) -> None:
    """What is on GitHub now."""
    transcript.title("On GitHub")
    for issue in created_issues(stage):
        labels = ", ".join(label.name for label in issue.labels)
        transcript.line(f"  #{issue.number} {issue.title}  [{labels}]  by {issue.author.login}")
        for line in (issue.body or "").strip().splitlines():
            transcript.line(f"     {line}".rstrip())


def tell_cost(facts: Facts, transcript: Transcript) -> None:
    """What it cost, and what that means."""
    transcript.title("What it cost")
    transcript.table(
        ("run", "model", "tokens in", "out", "US dollars"),
        [
            (
                run["request"].splitlines()[0][:40],
                run["model"],
                str(run["input_tokens"]),
                str(run["output_tokens"]),
                f"{float(run['cost_usd']):.6f}",
            )
            for run in facts.runs
        ],
    )
    transcript.line(
        f"  Together ${facts.cost_usd:.6f}: a notional price; the model is scripted, no AI was used."
    )


def tell_audit(stage: Stage, facts: Facts, transcript: Transcript) -> None:
    """Who did what; a name beside a Slack id is from Slack, the record has the id."""
    transcript.title("On record (GET /audit)")
    transcript.table(
        ("time", "who", "what", "about"),
        [
            (e["at"][11:19], _who(stage, e["actor"]), e["kind"], _about(e["detail"]))
            for e in facts.audit
        ],
    )


def tell_difference(public: Path, demo: Path, transcript: Transcript) -> None:
    """How the demo's manifest differs from the public example."""
    transcript.title(f"The demo's manifest against {public.parent.name}/{public.name}")
    for line in manifest_difference(public, demo):
        transcript.line(f"  {line}")


def manifest_difference(public: Path, demo: Path) -> list[str]:
    """The lines that differ, comments left out."""
    before, after = (
        [line for line in path.read_text().splitlines() if not line.startswith("#")]
        for path in (public, demo)
    )
    changed = difflib.unified_diff(before, after, n=0, lineterm="")
    return [line for line in changed if not line.startswith(("---", "+++", "@@"))]


def tell_checks(checks: Sequence[Check], transcript: Transcript) -> None:
    """Every check, and of those that failed what was there."""
    transcript.title("Checked on what Slack and GitHub received, and on what the API says")
    for check in checks:
        transcript.line(f"  {'ok    ' if check.holds else 'FAILED'}  {check.claim}")
        if not check.holds:
            transcript.line(f"          seen: {str(check.seen)[:600]}")


def _who(stage: Stage, actor: Json) -> str:
    name, via = actor["name"], actor.get("via") or actor.get("surface")
    if actor["kind"] == "agent" or not via:
        return name
    person = stage.slack.people.find(name)
    return f"{name} ({via})" if person is None else f"{person.name} {name} ({via})"


def _about(detail: Json) -> str:
    told = ("link", "tool", "code", "rule", "model", "outcome", "memory_kind", "agent", "role")
    return ", ".join(str(detail[name]) for name in told if detail.get(name))
