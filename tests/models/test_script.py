"""Scripts: checked whole, every problem with its line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from openloop.models.errors import BadScript, UnknownModel
from openloop.models.script_file import parse_script
from openloop.models.script_folder import ScriptFolder

HEAD = "price: { input_per_million: 1, output_per_million: 1 }\nusage: { input: 1, output: 1 }\n"


def problems_of(text: str) -> list[str]:
    with pytest.raises(BadScript) as caught:
        parse_script(text.encode(), file="s.yaml")
    return list(caught.value.problems)


def test_every_problem_is_listed_with_its_line() -> None:
    found = problems_of(
        """\
price: { input_per_million: -1, output_per_million: free }
max_output_tokens: none
color: red
scenarios:
  - name: first
    match: "(unclosed"
    turns:
      - say: "{match.who} {tool} }"
        delay_seconds: 9999
        finish: never
      - call: [{ name: "not a tool name", arguments: [1] }]
        usage: { input: 1 }
        usage_from: md5
      - when: x
  - name: first
    loop: maybe
    turns: []
"""
    )

    lines = [int(problem.split(":")[1]) for problem in found]
    assert lines == sorted(lines)
    assert len(found) == len(set(found))
    expected = {
        1: ("price.input_per_million: dollars", "price.output_per_million: dollars"),
        2: ("whole number",),
        3: ("'color' is not known",),
        6: ("regular expression",),
        8: ("no group called 'who'", "'{tool}' is neither", "'}' is neither"),
        9: ("seconds",),
        10: ("`finish`",),
        11: ("no tool name", "names with values"),
        13: ("`usage_from`",),
        14: ("`say`, `call`", "declares `usage`"),
        15: ("two scenarios",),
        16: ("true or false",),
        17: ("at least one entry",),
    }
    for line, sentences in expected.items():
        here = [problem for problem in found if problem.startswith(f"s.yaml:{line}: ")]
        for sentence in sentences:
            assert any(sentence in problem for problem in here), (line, sentence, found)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("[]", "names with values"),
        ("price: [", "bracket"),
        ("a: &x 1\nb: *x\n", "Anchors"),
        ("price: 1\nprice: 2\n", "price"),
        (HEAD + "scenarios: []\n", "at least one entry"),
        (
            HEAD + "scenarios:\n  - {name: a, turns: [{say: x}]}\n"
            "  - {name: b, match: b, turns: [{say: x}]}\n",
            "comes last",
        ),
        (
            HEAD + "scenarios:\n  - name: a\n    turns:\n"
            "      - either: [{say: x}, {say: y, when: z}]\n",
            "only the last turn",
        ),
        (
            "price: {input_per_million: 1, output_per_million: 1, cached_per_million: 2}\n"
            "usage: none\nscenarios:\n  - {name: a, turns: [{say: x}]}\n",
            "cached input",
        ),
        (
            HEAD + f"scenarios:\n  - {{name: a, match: {'x' * 501}, turns: [{{say: x}}]}}\n",
            "at most 500",
        ),
    ],
)
def test_a_script_that_cannot_be_honoured_is_refused(text: str, sentence: str) -> None:
    assert any(sentence in problem for problem in problems_of(text))


@pytest.mark.parametrize("name", ["../demo", "Demo", "demo.yaml", "", "a/b", "x" * 65])
def test_a_script_name_never_leaves_the_folder(scripts: Path, name: str) -> None:
    with pytest.raises(UnknownModel):
        ScriptFolder(scripts).read(name)


def test_a_changed_script_is_read_again(scripts: Path) -> None:
    folder = ScriptFolder(scripts)
    first = folder.read("demo")
    assert folder.read("demo") is first

    path = scripts / "demo.yaml"
    path.write_text(HEAD + "scenarios: [{name: other, turns: [{say: x}]}]\n")
    os.utime(path, ns=(1, 1))

    assert [scenario.name for scenario in folder.read("demo").scenarios] == ["other"]


def test_only_scripts_are_listed(scripts: Path) -> None:
    (scripts / "README.md").write_text("x")
    (scripts / "Not A Name.yaml").write_text("x")
    assert ScriptFolder(scripts).names() == ["demo"]


def test_the_scripts_in_the_guide_are_taken() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "scripted-model.md"
    examples = re.findall(r"^```yaml\n(.*?)^```", guide.read_text(), re.DOTALL | re.MULTILINE)

    read = [parse_script(each.encode(), file="guide.yaml") for each in examples]

    assert [len(script.scenarios) for script in read] == [2, 1]
