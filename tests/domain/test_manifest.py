"""What manifests promise: the public example applies, and nothing is read that was not meant."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from openloop.domain import manifest
from openloop.domain.errors import Invalid
from openloop.domain.manifest import InvalidManifest
from openloop.domain.manifest_agent import AgentManifest, McpTool, NativeTool
from openloop.domain.manifest_parts import read_dollars
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.strict_yaml import Problem

EXAMPLES = Path(__file__).parents[2] / "examples"
PUBLIC = (EXAMPLES / "agents/dev-platform.yaml").read_text().partition("\n")[2]
WORKSPACE = """\
apiVersion: openloop.ai/v1alpha1
kind: Workspace
metadata: { name: acme }
spec:
  people:
    priya: { slack: U0PRIYA, github: 4711, email: priya@example.com }
    anna: { slack: U0ANNA }
    ben: { github: ben }
  groups:
    maintainers: ["@anna", "@leads"]
    leads: ["@priya"]
  roles: { owner: ["@priya"], operator: ["@ben"], approver: ["@maintainers", '@ben'] }
  budget: { monthly_usd: 200 }
"""
GITHUB = '{ name: github, type: native, permissions: ["issues:write", "pulls:read"] }'


def refusals(text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(InvalidManifest) as caught:
        manifest.parse(text, name="x.yaml")
    assert len(caught.value.problems) == len(caught.value.found)
    return caught.value.found


def changed(old: str, new: str, *, text: str = PUBLIC) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the example"
    return text.replace(old, new)


def agent(text: str = PUBLIC) -> AgentManifest:
    return manifest.parse_agent(text, name="agent.yaml")


def workspace(text: str = WORKSPACE) -> WorkspaceManifest:
    return manifest.parse_workspace(text, name="workspace.yaml")


# --- the public example --------------------------------------------------------------------------


def test_the_public_example_means_what_it_says() -> None:
    spec = agent().spec
    assert [(surface.type, surface.place) for surface in spec.surfaces] == [
        ("slack", "#dev-platform"),
        ("discord", "eng"),
    ]
    assert spec.budget.per_task_usd == Decimal("0.50")
    assert agent().models == {"openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6"}
    (github,) = spec.tools
    assert github.gated == ("github.issues:write", "github.pulls:read")
    assert github.writes == ("github.issues:write",)
    assert (spec.approvals.allow, spec.approvals.expires_hours) == ((), 72)
    assert (spec.limits.steps, spec.limits.output_tokens, spec.limits.wall_minutes) == (
        20,
        4096,
        30,
    )
    assert (spec.wake, spec.guests) == (("mention", "followup"), "deny")


# --- other forms that are valid ------------------------------------------------------------------


def test_mcp_servers_and_the_coding_worker_are_valid_tools() -> None:
    # The public form, unchanged.
    server = "http://localhost:8931"
    mcp = f'{{ name: ci-logs, type: mcp, server: "{server}", permissions: [get_run_logs, list_runs] }}'
    coding = '{ name: coding_worker, type: native, permissions: ["pr:write"] }'
    tools = agent(changed(GITHUB, f"{mcp}\n    - {coding}")).spec.tools
    assert [type(tool) for tool in tools] == [McpTool, NativeTool]
    assert tools[0].writes == ("ci-logs.get_run_logs", "ci-logs.list_runs")
    assert tools[1].writes == ("coding_worker.pr:write",)


def test_an_mcp_tool_writes_unless_its_effect_is_declared_to_be_a_read() -> None:
    mcp = "{ name: ci, type: mcp, server: 'http://localhost:1', permissions: [a, b], effects: { a: read } }"
    (tool,) = agent(changed(GITHUB, mcp)).spec.tools
    assert tool.writes == ("ci.b",)


def test_every_kind_of_surface_has_a_place() -> None:
    forms = ["{ type: github, repo: acme/api }", "{ type: linear, team: ENG }",
             "{ type: zoom, channel: Eng }", "{ type: console }"]  # fmt: skip
    text = changed('{ type: discord, channel: "eng" }', "\n    - ".join(forms))
    places = [surface.place for surface in agent(text).spec.surfaces]
    assert places == ["#dev-platform", "acme/api", "ENG", "Eng", "console"]


@pytest.mark.parametrize("form", ["0.50", '"0.5"', "0.500000", "5e-1", ".5"])
def test_money_is_the_digits_in_the_file(form: str) -> None:
    written = agent(changed("0.50", form))
    assert written.spec.budget.per_task_usd == Decimal("0.5")
    assert manifest.digest(written) == manifest.digest(agent())


def test_money_is_never_taken_from_a_binary_float() -> None:
    with pytest.raises(ValueError, match="not an amount"):
        read_dollars(0.5)


def test_groups_may_hold_groups() -> None:
    team = workspace()
    assert team.members("@maintainers") == {"anna", "priya"}
    assert team.members("@ben") == {"ben"}
    assert team.members("@nobody") == frozenset()


# --- what stands for a manifest ------------------------------------------------------------------


@pytest.mark.parametrize("text", [PUBLIC, WORKSPACE])
def test_the_canonical_bytes_are_a_manifest_that_means_the_same(text: str) -> None:
    original = manifest.parse(text, name="x.yaml")
    assert manifest.parse(manifest.canonical(original), name="canonical") == original


def test_the_digest_follows_the_meaning_and_not_the_spelling() -> None:
    rewritten = (
        PUBLIC.replace('"', "'") + "  guests: deny # the default\n  wake: [mention, followup]\n"
    )
    assert manifest.digest(agent(rewritten)) == manifest.digest(agent())
    other = agent(changed("monthly_usd: 50", "monthly_usd: 51"))
    assert manifest.digest(other) != manifest.digest(agent())


# --- what is refused, where, and under which code ------------------------------------------------

BAD_AGENTS = [
    ("aprovers: typo", "approvers:", "aprovers:", 17, 5, "manifest_unknown_key"),
    ("spec: typo", "spec:", "spce:", 4, 1, "manifest_unknown_key"),
    ("octal", "retention_days: 90", "retention_days: 090", 8, 64, "yaml_ambiguous_number"),
    ("alias", '["@priya", "@maintainers"]', "*people", 17, 16, "yaml_alias"),
    ("anchor", "surfaces:", "surfaces: &all", 5, 13, "yaml_anchor"),
    ("duplicate key", "on_exceeded: block", "monthly_usd: 5000", 18, 50, "yaml_duplicate_key"),
    ("null", "retention_days: 90", "retention_days:", 8, 64, "manifest_empty_value"),
    ("text for a number", "days: 90", 'days: "90"', 8, 64, "manifest_wrong_type"),
    ("yes for a number", "days: 90", "days: yes", 8, 64, "manifest_wrong_type"),
    ("true for a number", "days: 90", "days: true", 8, 64, "manifest_wrong_type"),
    ("a fraction", "days: 90", "days: 90.0", 8, 64, "manifest_wrong_type"),
    ("too small", "days: 90", "days: 0", 8, 64, "manifest_invalid_value"),
    ("too large", "days: 90", "days: 3651", 8, 64, "manifest_invalid_value"),
    ("text for a list", '["@priya", "@maintainers"]', '"@priya"', 17, 16, "manifest_wrong_type"),
    ("name", "name: dev-platform", "name: Dev_Platform", 3, 19, "manifest_invalid_value"),
    ("name without", "name: dev-platform, ", "", 3, 11, "manifest_missing_key"),
    ("api version", "/v1alpha1", "/v1", 1, 13, "manifest_invalid_value"),
    ("kind", "kind: Agent", "kind: Agnet", 2, 7, "manifest_invalid_value"),
    ("tool type", "type: native", "type: nativ", 14, 29, "manifest_invalid_value"),
    ("tool without type", " type: native,", "", 14, 7, "manifest_missing_key"),
    ("verb", "pulls:read", "pulls:raed", 14, 67, "manifest_invalid_value"),
    ("permission twice", "pulls:read", "issues:write", 14, 50, "manifest_invalid_value"),
    ("server of a native tool", "type: native,", "type: native, server: x,", 14, 37,
     "manifest_unknown_key"),
    ("tool twice", GITHUB, f"{GITHUB}\n    - {GITHUB}", 15, 15, "manifest_duplicate"),
    ("place twice", "discord, channel: \"eng\"", "slack, channel: dev-platform", 7, 7,
     "manifest_duplicate"),
    ("surface without channel", ', channel: "eng"', "", 7, 7, "manifest_missing_key"),
    ("unknown surface", "type: discord", "type: irc", 7, 15, "manifest_invalid_value"),
    ("approver without @", '"@priya"', "priya", 17, 17, "manifest_invalid_value"),
    ("require_for without tool", '"github.pulls:write"', '"pulls:write"', 16, 42,
     "manifest_invalid_value"),
    ("require_for without verb", '"github.pulls:write"', "github.pulls", 16, 42,
     "manifest_invalid_value"),
    ("model without provider", "openai/gpt-4o-mini", "gpt-4o-mini", 10, 14,
     "manifest_invalid_value"),
    ("empty match", "{ task: code }", "{}", 12, 18, "manifest_invalid_value"),
    ("budget of zero", "0.50", "0", 18, 44, "manifest_invalid_value"),
    ("budget below zero", "0.50", "-1", 18, 44, "manifest_invalid_value"),
    ("budget not a number", "0.50", ".nan", 18, 44, "yaml_number_out_of_range"),
    ("budget too fine", "0.50", "0.0000001", 18, 44, "manifest_invalid_value"),
    ("budget in words", "0.50", "much", 18, 44, "manifest_invalid_value"),
    ("budget with sign", "0.50", "$1", 18, 44, "manifest_invalid_value"),
    ("budget without run", "per_task_usd: 0.50, ", "", 18, 11, "manifest_missing_key"),
    ("nobody decides", '    approvers: ["@priya", "@maintainers"]\n', "", 16, 18,
     "approvers_missing"),
    ("no approvers", '["@priya", "@maintainers"]', "[]", 16, 18, "approvers_missing"),
    ("agent memory", "scope: channel", "scope: agent", 8, 20, "manifest_not_supported_yet"),
    ("on_exceeded", "exceeded: block", "exceeded: ask", 18, 63, "manifest_missing_key"),
    ("unreached limit", "0.50", "0.50, daily_usd: 51", 18, 61, "manifest_invalid_value"),
    ("quorum", "require_for:", "quorum: 2\n    require_for:", 16, 5, "manifest_not_supported_yet"),
    ("fallbacks", "routes:", "fallbacks: []\n    routes:", 11, 5, "manifest_not_supported_yet"),
    ("skills", "  tools:", "  skills: []\n  tools:", 13, 3, "manifest_not_supported_yet"),
    ("ambient", "  tools:", "  wake: [mention, ambient]\n  tools:", 13, 19,
     "manifest_not_supported_yet"),
    ("schedule", "kind: Agent", "kind: Schedule", 2, 7, "manifest_not_supported_yet"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "code"),
    [case[1:] for case in BAD_AGENTS],
    ids=[case[0] for case in BAD_AGENTS],
)
def test_a_bad_agent_is_refused_where_it_is_bad(
    old: str, new: str, line: int, column: int, code: str
) -> None:
    first = refusals(changed(old, new))[0]
    assert (first.line, first.column, first.code) == (line, column, code)


BAD_WORKSPACES = [
    ("one Slack id for two", "slack: U0ANNA", "slack: U0PRIYA", 7, 20, "identity_shared"),
    ("one login for two", "slack: U0ANNA", "github: Ben", 8, 20, "identity_shared"),
    ("a name for an id", "U0ANNA", "anna", 7, 20, "manifest_invalid_value"),
    ("unknown member", '"@anna"', '"@ana"', 10, 19, "name_unresolved"),
    ("unknown in a role", '"@ben"', '"@bne"', 12, 42, "name_unresolved"),
    ("unknown role", "operator:", "operater:", 12, 31, "manifest_invalid_value"),
    ("empty group", '["@priya"]\n  roles', "[]\n  roles", 11, 12, "manifest_invalid_value"),
    ("empty role", '["@ben"]', "[]", 12, 41, "manifest_invalid_value"),
    ("cycle", '["@priya"]\n  roles', '["@maintainers"]\n  roles', 10, 18, "group_cycle"),
    ("group named as a person", "leads:", "ben:", 10, 28, "name_unresolved"),
    ("group named as a role", "leads:", "owner:", 10, 28, "name_unresolved"),
    ("nobody", "budget: { monthly_usd: 200 }", "solo_mode: false", 5, 3, "manifest_missing_key"),
    ("yes for true", "roles:", "solo_mode: yes\n  roles:", 12, 14, "manifest_wrong_type"),
    ("free model", "roles:",
     "prices: { a/b: { input_per_million: 0, output_per_million: 1 } }\n  roles:", 12, 39,
     "manifest_invalid_value"),
    ("secrets", "roles:", "secrets: {}\n  roles:", 12, 3, "manifest_not_supported_yet"),
    ("linear", "roles:", "integrations: { linear: {} }\n  roles:", 12, 19,
     "manifest_not_supported_yet"),
    ("unknown person key", "slack: U0ANNA", "slak: U0ANNA", 7, 13, "manifest_unknown_key"),
    ("person named badly", "anna: {", "Anna: {", 7, 5, "manifest_invalid_value"),
    ("repositories left out", "roles:", "integrations: { github: { repos: [] } }\n  roles:", 12, 36,
     "manifest_invalid_value"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "code"),
    [case[1:] for case in BAD_WORKSPACES],
    ids=[case[0] for case in BAD_WORKSPACES],
)
def test_a_bad_workspace_is_refused_where_it_is_bad(
    old: str, new: str, line: int, column: int, code: str
) -> None:
    first = refusals(changed(old, new, text=WORKSPACE))[0]
    assert (first.line, first.column, first.code) == (line, column, code)


@pytest.mark.parametrize(
    ("old", "new", "path", "text"),
    [
        ("type: native,", "type: native, repos: ,", "spec.tools[0].repos", PUBLIC),
        ("type: native,", "type: native, repos: null,", "spec.tools[0].repos", PUBLIC),
        ("task: code", "task: ~, surface: slack", "spec.model_policy.routes[0].match.task", PUBLIC),
        ("slack: U0ANNA", "slack: ", "spec.people.anna.slack", WORKSPACE),
    ],
)
def test_an_optional_key_without_a_value_is_not_taken_as_absent(
    old: str, new: str, path: str, text: str
) -> None:
    (problem,) = refusals(changed(old, new, text=text))
    assert (problem.path, problem.code) == (path, "manifest_empty_value")


def test_an_effect_is_declared_for_a_granted_tool_only() -> None:
    mcp = (
        "{ name: ci, type: mcp, server: 'http://localhost:1', permissions: [runs],"
        " effects: { rnus: read } }"
    )
    (problem,) = refusals(changed(GITHUB, mcp))
    assert (problem.path, problem.code) == ("spec.tools[0].effects.rnus", "manifest_invalid_value")


def test_all_problems_are_listed_at_once_in_the_order_of_the_file() -> None:
    text = changed("approvers:", "aprovers:")
    text = changed("0.50", "0", text=text)
    text = changed("task: code", "tsk: code", text=text)
    text = changed("type: native", "type: nativ", text=text)
    assert [str(problem) for problem in refusals(text)] == [
        "x.yaml:12:20: spec.model_policy.routes[0].match.tsk: There is no key 'tsk' here;"
        " did you mean 'task'?",
        "x.yaml:14:29: spec.tools[0].type: Expected one of native, mcp, found 'nativ';"
        " did you mean 'native'?",
        "x.yaml:17:5: spec.approvals.aprovers: There is no key 'aprovers' here;"
        " did you mean 'approvers'?",
        "x.yaml:18:44: spec.budget.per_task_usd: An amount must be above zero:"
        " what costs nothing reaches no limit",
    ]


def test_an_unquoted_channel_is_explained() -> None:
    surface = '{ type: slack, channel: "#dev-platform" }'
    (empty,) = refusals(changed(surface, "type: slack\n      channel: #dev-platform"))
    assert (empty.path, empty.code) == ("spec.surfaces[0].channel", "manifest_empty_value")
    assert "text after # is a comment" in empty.message


@pytest.mark.parametrize("text", ["", "- a", "x", "{}", "apiVersion: [1]\nkind: {}\n"])
def test_what_is_no_manifest_at_all_is_refused(text: str) -> None:
    assert refusals(text)


def test_a_manifest_of_another_kind_is_refused_where_one_kind_is_asked_for() -> None:
    with pytest.raises(InvalidManifest) as caught:
        manifest.parse_agent(WORKSPACE, name="x.yaml")
    assert [(found.code, found.line) for found in caught.value.found] == [
        ("manifest_wrong_kind", 2)
    ]
    with pytest.raises(Invalid):
        manifest.parse_workspace(PUBLIC, name="x.yaml")


@pytest.mark.parametrize(
    "server",
    ["ftp://h", "http://", "//h", "localhost:1", "http://u:p@h", "http://u@h", "http://h?token=x",
     "http://h/#x", "http://h:x", "http://h:99999", "http://[", "http://h /"],
)  # fmt: skip
def test_an_mcp_server_is_an_http_address_without_secrets(server: str) -> None:
    mcp = f"{{ name: ci, type: mcp, server: '{server}', permissions: [a] }}"
    (problem,) = refusals(changed(GITHUB, mcp))
    assert problem.path == "spec.tools[0].server"


@pytest.mark.parametrize(
    "repo", ["acme", "acme/..", "acme/../x", "acme/a b", "/x", "a/b/c", "../b"]
)
def test_a_repository_is_an_owner_and_a_name(repo: str) -> None:
    (problem,) = refusals(changed("type: native,", f'type: native, repos: ["{repo}"],'))
    assert problem.path == "spec.tools[0].repos[0]"


# --- standing rules ------------------------------------------------------------------------------

STANDING = changed(
    'require_for: ["github.issues:write", "github.pulls:write"]',
    "allow: [{ permission: github.issues:write, repos: [acme/docs] }]",
)


def test_a_standing_rule_names_one_granted_permission_and_its_repositories() -> None:
    (rule,) = agent(STANDING).spec.approvals.allow
    assert (rule.permission, rule.repos) == ("github.issues:write", ("acme/docs",))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (", repos: [acme/docs]", "", "manifest_missing_key"),
        ("repos: [acme/docs]", "repos: []", "manifest_invalid_value"),
        ("github.issues:write, repos", "github.pulls:write, repos", "standing_rule_not_granted"),
        ("allow:", 'require_for: ["github.issues:write"]\n    allow:',
         "standing_rule_contradicted"),
        ("[acme/docs] }]", "[acme/docs] }, { permission: github.issues:write, repos: [a/b] }]",
         "manifest_duplicate"),
        ("type: native,", "type: native, repos: [acme/api],", "manifest_invalid_value"),
    ],
)  # fmt: skip
def test_a_standing_rule_that_could_mean_more_is_refused(old: str, new: str, code: str) -> None:
    assert [problem.code for problem in refusals(changed(old, new, text=STANDING))] == [code]


# --- references to the workspace -----------------------------------------------------------------


def test_an_agent_whose_approvers_are_all_known_has_no_problem() -> None:
    assert manifest.check_references(agent(), workspace()) == ()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"@priya"', '"@prya"', "name_unresolved"),
        ('"@maintainers"', '"@team"', "name_unresolved"),
        ('"@priya"', '"@ben"', "approver_unreachable"),
        ("workspace: acme", "workspace: other", "workspace_mismatch"),
    ],
)
def test_a_name_that_the_workspace_does_not_have_is_a_problem_with_a_line(
    old: str, new: str, code: str
) -> None:
    loaded = manifest.load(changed(old, new), name="x.yaml")
    assert isinstance(loaded.manifest, AgentManifest)
    (problem,) = manifest.check_references(loaded.manifest, workspace(), document=loaded.document)
    assert (problem.code, problem.line) == (code, 3 if code == "workspace_mismatch" else 17)
    (unlocated,) = manifest.check_references(loaded.manifest, workspace())
    assert (unlocated.code, unlocated.line) == (code, 0)
    assert str(unlocated).startswith("dev-platform: ")


# --- rules, resources and the workspace's policy -------------------------------------------------

RULE = "match: { permission: github.issues:write }, approvers: "
IN_RULES = "require_for:", "rules: [{{ {} }}]\n    require_for:"


def with_rules(rules: str) -> str:
    return changed(IN_RULES[0], IN_RULES[1].format(rules))


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (f'{RULE} ["@maintainers"], quorum: 0', "manifest_invalid_value"),
        (f'{RULE} ["@maintainers"], quorum: 11', "manifest_invalid_value"),
        (f'{RULE} ["@maintainers"], quorum: true', "manifest_wrong_type"),
        (f"{RULE} []", "manifest_invalid_value"),
        ("match: { permission: github.issues:write }", "manifest_missing_key"),
        ('match: {}, approvers: ["@priya"]', "manifest_missing_key"),
        ('match: { permission: github.issues }, approvers: ["@priya"]', "manifest_invalid_value"),
        (f'{RULE} ["@priya"], may_edit: yes', "manifest_wrong_type"),
        (f'{RULE} ["@priya"], quorom: 2', "manifest_unknown_key"),
        (
            f'{RULE} ["@priya"], expires_hours: 2, escalation: [{{ after_hours: 2, approvers: ["@priya"] }}]',
            "manifest_invalid_value",
        ),
    ],
)
def test_a_rule_that_could_not_hold_is_refused(rules: str, code: str) -> None:
    assert code in {problem.code for problem in refusals(with_rules(rules))}


@pytest.mark.parametrize(
    ("quorum", "approvers", "codes"),
    [
        (2, '["@maintainers"]', set[str]()),
        (3, '["@maintainers"]', {"quorum_unreachable"}),
        (2, '["@priya", "@leads"]', {"quorum_unreachable"}),
        (2, '["@priya", "@ben"]', set[str]()),
        (1, '["@nobody"]', {"name_unresolved"}),
    ],
)
def test_no_rule_wants_more_votes_than_there_are_people(
    quorum: int, approvers: str, codes: set[str]
) -> None:
    rules = f"{RULE} {approvers}, quorum: {quorum}"
    found = manifest.check_references(agent(with_rules(rules)), workspace())
    assert {problem.code for problem in found} == codes
    policy = f"  policy: {{ rules: [{{ {rules} }}] }}\n"
    if codes:
        assert {problem.code for problem in refusals(WORKSPACE + policy)} == codes
    else:
        assert len(workspace(WORKSPACE + policy).spec.policy.rules) == 1


@pytest.mark.parametrize(
    ("tool", "path"),
    [
        ("resources: { acme/other: { visible_in: public } }, repos: [acme/api]", "resources"),
        ("visible_in: everybody", "visible_in"),
        ("requester_rights: all", "requester_rights"),
        ('repos: ["*/*"]', "repos"),
        ('repos: ["acme/pl*"]', "repos"),
        ('hosts: ["*"]', "hosts"),
        ('hosts: ["https://acme.example"]', "hosts"),
    ],
)
def test_rights_of_what_is_not_granted_are_refused(tool: str, path: str) -> None:
    text = changed(GITHUB, GITHUB.replace(" }", f", {tool} }}"))
    assert any(path in problem.path for problem in refusals(text))


def test_no_tool_has_the_name_of_what_is_built_in() -> None:
    tool = "{ name: memory, type: mcp, server: https://mcp.acme.example, permissions: [note] }"
    [problem] = refusals(changed(GITHUB, f"{GITHUB}\n    - {tool}"))
    assert problem.path.endswith("tools[1].name")


def test_a_standing_rule_lies_within_its_grant() -> None:
    granted = GITHUB.replace(" }", ', repos: ["acme/*"] }')
    for repo, fits in (("acme/api", True), ("other/api", False)):
        text = changed(GITHUB, granted).replace('"github.issues:write", ', "")
        allow = f"allow: [{{ permission: github.issues:write, repos: [{repo}] }}]\n    approvers:"
        text = text.replace("approvers:", allow)
        if fits:
            assert agent(text).spec.approvals.allow[0].links == "typed"
        else:
            assert {problem.code for problem in refusals(text)} == {"manifest_invalid_value"}
