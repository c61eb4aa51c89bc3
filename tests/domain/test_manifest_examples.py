"""The examples apply and stay what they are; schemas and the reference page follow the code."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from openloop.domain import (
    agent_test,
    manifest,
    manifest_agent,
    manifest_problems,
    manifest_schema,
    manifest_workspace,
    strict_yaml,
)
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_problems import keys_of
from openloop.domain.manifest_workspace import WorkspaceManifest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

# The public contract, to the byte.
PUBLIC = """\
apiVersion: openloop.ai/v1alpha1
kind: Agent
metadata: { name: dev-platform, workspace: acme }
spec:
  surfaces:
    - { type: slack, channel: "#dev-platform" }
    - { type: discord, channel: "eng" }
  memory: { scope: channel, backend: postgres, retention_days: 90 }
  model_policy:
    default: openai/gpt-4o-mini
    routes:
      - { match: { task: code }, model: anthropic/claude-sonnet-4-6 }
  tools:
    - { name: github, type: native, permissions: ["issues:write", "pulls:read"] }
  approvals:
    require_for: ["github.issues:write", "github.pulls:write"]
    approvers: ["@priya", "@maintainers"]
  budget: { monthly_usd: 50, per_task_usd: 0.50, on_exceeded: block }
"""


def agent(path: Path) -> AgentManifest:
    return manifest.parse_agent(path.read_bytes(), name=path.name)


def workspace(path: Path) -> WorkspaceManifest:
    return manifest.parse_workspace(path.read_bytes(), name=path.name)


def test_the_shipped_example_is_the_public_one_after_a_first_line_for_editors() -> None:
    first, _, rest = (EXAMPLES / "agents/dev-platform.yaml").read_text().partition("\n")
    assert first == "# yaml-language-server: $schema=../../schemas/agent.schema.json"
    assert rest == PUBLIC


def test_the_demo_differs_from_the_public_example_in_its_models_only() -> None:
    demo = (EXAMPLES / "demo/dev-platform.yaml").read_text().splitlines()
    body = [line for line in demo if not line.startswith("#")]
    pairs = list(zip(PUBLIC.splitlines(), body, strict=True))
    assert [new for old, new in pairs if old != new] == [
        "    default: scripted/dev-platform",
        "      - { match: { task: code }, model: scripted/dev-platform }",
    ]
    assert manifest.parse_agent("\n".join(demo), name="demo.yaml").models == {
        "scripted/dev-platform"
    }


@pytest.mark.parametrize(
    "path",
    sorted(p for p in EXAMPLES.rglob("*.yaml") if p.parent.name not in ("scripts", "tests")),
    ids=lambda path: path.name,
)
def test_every_example_is_valid_here_and_for_editors(path: Path) -> None:
    text = path.read_text()
    loaded = manifest.load(text, name=path.name)
    kind = "agent" if isinstance(loaded.manifest, AgentManifest) else "workspace"
    first = text.partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    schema = (path.parent / first).resolve()
    assert schema == ROOT / f"schemas/{kind}.schema.json"
    jsonschema.validate(loaded.document.value, manifest_schema.schema(kind.capitalize()))


@pytest.mark.parametrize(
    "path", sorted((EXAMPLES / "tests").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_example_of_a_test_is_valid_here_and_for_editors(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=../../schemas/agenttest.schema.json\n")
    assert agent_test.is_test(text)
    agent_test.load(text, name=path.name)
    plain = strict_yaml.load(text, name=path.name).value
    jsonschema.validate(plain, manifest_schema.schema("AgentTest"))


@pytest.mark.parametrize("folder", [EXAMPLES, EXAMPLES / "demo"], ids=lambda path: path.name)
def test_the_example_agents_find_everybody_in_the_example_workspaces(folder: Path) -> None:
    team = workspace(folder / "workspace.yaml")
    for path in (*folder.glob("dev-*.yaml"), *folder.glob("agents/*.yaml")):
        assert manifest.check_references(agent(path), team) == ()
        assert agent(path).models <= team.spec.prices.keys()


@pytest.mark.parametrize("kind", ["Agent", "Workspace", "AgentTest"])
def test_the_schemas_in_the_repository_are_the_generated_ones(kind: str) -> None:
    """To write one anew: python -m openloop.domain.manifest_schema Agent > FILE."""
    kept = (ROOT / f"schemas/{kind.lower()}.schema.json").read_text()
    assert kept == manifest_schema.text(kind)
    jsonschema.Draft202012Validator.check_schema(manifest_schema.schema(kind))


def test_the_schema_refuses_typos_and_nulls_too() -> None:
    schema = manifest_schema.schema("Agent")
    for old, new in (("approvers:", "aprovers:"), ('["@priya", "@maintainers"]', "null")):
        text = PUBLIC.replace(old, new)
        plain = strict_yaml.load(text, name="x.yaml").value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(plain, schema)


# --- the reference page --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "heading"), [(AgentManifest, "Agent"), (WorkspaceManifest, "Workspace")]
)
def test_exactly_the_keys_that_exist_are_on_the_reference_page(
    kind: type[object], heading: str
) -> None:
    page = (ROOT / "docs/reference/manifests.md").read_text()
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    assert [
        row for row in rows if len(row) != len(["key", "type", "default", "meaning", "example"])
    ] == []
    keys = {f"{path}.{key}".strip(".") for path, names in keys_of(kind).items() for key in names}
    assert {row[0].strip(" `") for row in rows} == keys


def test_every_problem_code_is_on_the_reference_page() -> None:
    page = (ROOT / "docs/reference/manifests.md").read_text()
    modules = [strict_yaml, manifest, manifest_agent, manifest_workspace, manifest_problems]
    source = "".join(Path(str(module.__file__)).read_text() for module in modules)
    prefixes = "yaml|manifest|approvers?|standing_rule|identity|group|name|workspace"
    codes = set(re.findall(rf'"((?:{prefixes})_[a-z0-9_]+)"', source))
    families = {"yaml_malformed", "manifest_invalid"}  # codes of the errors that carry problems
    assert {code for code in codes - families if f"`{code}`" not in page} == set()


def test_every_manifest_on_the_reference_page_is_valid() -> None:
    page = (ROOT / "docs/reference/manifests.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    assert len(blocks) >= 2  # one of each kind
    for block in blocks:
        manifest.parse(block, name="manifests.md")
