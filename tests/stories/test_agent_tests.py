"""`openloop agents test`: the shipped examples pass, and an agent that does otherwise fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from openloop.cli import main
from openloop.cli.failures import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).parents[2] / "examples"
GUIDES = EXAMPLES.parent / "docs" / "guides"
HEAD = "apiVersion: openloop.ai/v1alpha1\nkind: AgentTest\n"


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, Any, str]]:
    """Run tests of the demo's agent in this process."""
    monkeypatch.chdir(tmp_path)  # a `.env` of the machine is not read

    def tests(*files: Path, options: tuple[str, ...] = ()) -> tuple[int, Any, str]:
        arguments = [word for file in (EXAMPLES / "demo", *files) for word in ("-f", str(file))]
        status = main(["agents", "test", *arguments, "-o", "json", *options])
        captured = capsys.readouterr()
        items: Any = json.loads(captured.out)["items"] if captured.out else []
        return status, items, captured.err

    return tests


def test_the_examples_pass(run: Callable[..., tuple[int, Any, str]]) -> None:
    status, ran, told = run(EXAMPLES / "tests")

    assert (status, told) == (Exit.OK, "")
    assert {each["name"]: each["passed"] for each in ran} == {
        "asks-before-it-writes": True,
        "recalls-a-decision": True,
        "stays-silent": True,
    }
    assert sum(len(each["checks"]) for each in ran) == 11


OTHERWISE = """metadata: { name: otherwise, agent: dev-platform }
spec:
  thread:
    - { by: ben, text: "summarize this thread" }
  tools:
    - { tool: github__create_issue, content: { number: 7 }, link: "https://github.example/7" }
  decide: [ { by: anna, decision: approve } ]
  expect:
    never_calls: [github__create_issue]
    calls: [memory__note]
    stays_silent: true
    denies: [github__get_issue]
    recalls: [nothing]
    never_says: [Summary]
    costs_less_than_usd: 0.000001
"""
"""The thread of an example, with an approver who approves: the issue is made, and words are other words."""
CANNOT_BE_PLAYED = {
    "stranger": '{ thread: [ { by: nobody, text: "hi" } ], expect: { stays_silent: true } }',
    "nothing-waits": '{ thread: [ { by: ben, text: "hi" } ], '
    "decide: [ { by: anna, decision: approve } ], expect: { asks_nothing: true } }",
    "no-tool": '{ thread: [ { by: ben, text: "hi" } ], '
    "tools: [ { tool: github__nothing } ], expect: { asks_nothing: true } }",
    "no-channel": '{ channel: "#ops", thread: [ { by: ben, text: "hi" } ], '
    "expect: { asks_nothing: true } }",
}


def test_what_fails_is_told_with_what_was_seen_and_what_cannot_be_played_with_why(
    run: Callable[..., tuple[int, Any, str]], tmp_path: Path
) -> None:
    (tmp_path / "otherwise.yaml").write_text(HEAD + OTHERWISE)
    for name, spec in CANNOT_BE_PLAYED.items():
        metadata = f"metadata: {{ name: {name}, agent: dev-platform }}\n"
        (tmp_path / f"{name}.yaml").write_text(f"{HEAD}{metadata}spec: {spec}\n")

    status, ran, told = run(tmp_path)

    assert status == Exit.FAILURE
    problems = {each["name"]: each["problem"].split(":")[0] for each in ran if each["problem"]}
    assert problems == {
        "no-channel": "The agent 'dev-platform' does not listen in #ops",
        "no-tool": "There is no tool 'github__nothing'",
        "nothing-waits": "anna is to approve, and nothing waits for anybody",
        "stranger": "'nobody' has no Slack id in the Workspace and is no outsider of this test",
    }
    [failed] = [each for each in ran if not each["problem"]]
    assert failed["name"] == "otherwise"
    assert [each["claim"] for each in failed["checks"] if each["holds"]] == ["calls memory__note"]
    assert "expected that it never calls github__create_issue; seen: github__create_issue" in told


def test_the_script_in_the_guide_does_what_the_guide_says(
    run: Callable[..., tuple[int, Any, str]], tmp_path: Path
) -> None:
    guide = (GUIDES / "scripted-model.md").read_text()
    scripts, test = tmp_path / "scripts", tmp_path / "test.yaml"
    scripts.mkdir()
    example = guide.split("```yaml\n")[1].split("```")[0]
    (scripts / "triage.yaml").write_text(example)
    test.write_text(
        f"{HEAD}metadata: {{ name: guide, agent: dev-platform }}\n"
        "spec: { model: scripted/triage, "
        'thread: [ { by: ben, text: "open an issue in acme/platform" } ], '
        "tools: [ { tool: github__create_issue, content: { number: 7 }, link: https://7.test } ], "
        "decide: [ { by: anna, decision: approve } ], "
        'expect: { calls: [github__create_issue], says: ["Created #7: https://7.test"] } }\n'
    )

    status, [ran], told = run(test, options=("--scripts", str(scripts)))

    assert (status, told, ran["problem"]) == (Exit.OK, "", "")


def test_files_without_a_test_or_a_workspace_are_refused(
    run: Callable[..., tuple[int, Any, str]], tmp_path: Path
) -> None:
    (tmp_path / "agent.yaml").write_text((EXAMPLES / "demo" / "dev-platform.yaml").read_text())

    assert run()[0] == Exit.INVALID
    assert main(["agents", "test", "-f", str(EXAMPLES / "tests")]) == Exit.INVALID
