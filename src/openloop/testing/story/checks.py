"""What has to be true once the story is over: looked up in the rigs and in the API's answers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from openloop.testing.story.stage import CHANNEL, PEOPLE, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.testing.rigs.github.state import Issue
    from openloop.testing.rigs.slack import Message
    from openloop.testing.story.facts import Facts, Json
    from openloop.testing.story.play import Played
    from openloop.testing.story.stage import Stage

CREATE = "POST /repos/{owner}/{repo}/issues"
STORY = (
    "run.queued",
    "run.started",
    "approval.asked",
    "memory.saved",
    "approval.approved",
    "effect.intended",
    "effect.done",
    "conversation.linked",
    "run.done",
)
_MILLION = Decimal(1_000_000)
_MICRODOLLAR = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; `seen` says what was there instead."""

    claim: str
    holds: bool
    seen: object = None


def examine(
    stage: Stage, played: Played, facts: Facts, workspace: WorkspaceManifest
) -> Sequence[Check]:
    """Every check; call it when the product has stopped, so that nothing more can arrive."""
    return [
        *_card(stage, played, facts),
        *_clicks(stage, played, facts),
        *_issue(stage, facts),
        *_answers(stage, played),
        *_memory(played, facts),
        *_money(facts, workspace),
        *_record(facts),
        *_rigs(stage, facts),
    ]


def created_issues(stage: Stage) -> list[Issue]:
    """What is in the repository."""
    repository = stage.github.state.find_repository(REPOSITORY)
    assert repository is not None
    return list(repository.issues.values())


def _card(stage: Stage, played: Played, facts: Facts) -> Iterator[Check]:
    arguments = _arguments(facts)
    shown = played.card.words
    lines = [
        f"Repository: {arguments.get('repo')}",
        f"Title: {arguments.get('title')}",
        f"Labels: {', '.join(arguments.get('labels', []))}",
        *str(arguments.get("body")).splitlines(),
    ]
    flat = " ".join(shown.split())
    missing = [line for line in lines if " ".join(line.split()) not in flat]
    yield Check(
        claim="the card shows every argument that will run, and nothing ran before",
        holds=len(facts.approvals) == 1 and not missing and played.issues_before_approval == 0,
        seen=(missing, played.issues_before_approval),
    )
    settled = stage.slack.current(played.card)
    yield Check(
        claim="the card is settled: no buttons, and a link to what was done",
        holds=not settled.buttons and "Done" in settled.text and "/issues/1" in settled.text,
        seen=settled.text,
    )


def _arguments(facts: Facts) -> Json:
    """What the one approval is about, as it is stored."""
    return facts.approvals[0]["arguments"] if len(facts.approvals) == 1 else {}


def _clicks(stage: Stage, played: Played, facts: Facts) -> Iterator[Check]:
    told = [shown.user for shown in stage.slack.ephemerals]
    refused = [e["actor"]["external_id"] for e in facts.audit if e["kind"] == "click.refused"]
    strangers = [PEOPLE["mallory"], PEOPLE["ben"]]
    yield Check(
        claim="the clicks of a stranger and of the requester are refused, in private and on record",
        holds=told == refused == strangers and set(played.clicks.values()) == {200},
        seen=(told, refused, played.clicks),
    )
    decided = [(a["decided_by_name"], a["state"]) for a in facts.approvals]
    yield Check(
        claim="the one approval was decided by anna and used up",
        holds=decided == [("anna", "executed")],
        seen=decided,
    )


def _issue(stage: Stage, facts: Facts) -> Iterator[Check]:
    made = stage.github.made(CREATE)
    issues = created_issues(stage)
    yield Check(
        claim="GitHub was asked once, and there is one issue",
        holds=len(made) == len(issues) == 1,
        seen=(len(made), len(issues)),
    )
    arguments = _arguments(facts)
    created = [
        (i.title, (i.body or "").partition("<!--")[0].strip(), [n.name for n in i.labels])
        for i in issues
    ]
    approved = (
        arguments.get("title"),
        str(arguments.get("body")).strip(),
        arguments.get("labels"),
    )
    yield Check(
        claim="the issue is what was approved: title, text and labels",
        holds=created == [approved],
        seen=created,
    )


def _answers(stage: Stage, played: Played) -> Iterator[Check]:
    slack = stage.slack
    first, later = slack.replies_to(played.root), slack.replies_to(played.question)
    yield Check(
        claim="the agent posted a card and one answer in the thread, and one in the new thread",
        holds=(len(first), len(later)) == (2, 1),
        seen=(_texts(first), _texts(later)),
    )
    answer = slack.current(played.answer).text
    yield Check(
        claim="the answer names the issue and what was noted",
        holds="acme/platform#1" in answer and "Noted (decision)" in answer,
        seen=answer,
    )
    everybody = {m.ts for m in slack.messages(CHANNEL) if m.author == slack.bot}
    yield Check(
        claim="nothing was posted anywhere else",
        holds=everybody == {m.ts for m in (*first, *later)},
        seen=len(everybody),
    )


def _memory(played: Played, facts: Facts) -> Iterator[Check]:
    saved = [(memory["kind"], memory["status"]) for memory in facts.memories]
    yield Check(
        claim="one decision is remembered, with the request as its source",
        holds=saved == [("decision", "active")]
        and played.request.ts.replace(".", "") in facts.memories[0]["source_link"],
        seen=facts.memories,
    )
    recalled = facts.recalled(facts.runs[-1]) if len(facts.runs) > 1 else None
    yield Check(
        claim="the later answer comes from it: it stood in that prompt, and only there",
        holds=recalled == [memory["id"] for memory in facts.memories]
        and facts.recalled(facts.runs[0]) == []
        and "Postgres 16" in played.recalled.text,
        seen=(recalled, played.recalled.text),
    )


def _money(facts: Facts, workspace: WorkspaceManifest) -> Iterator[Check]:
    booked = [Decimal(run["cost_usd"]) for run in facts.runs]
    expected = [_price(run, facts, workspace) for run in facts.runs]
    yield Check(
        claim="each run costs what the tokens of its model calls cost at the manifest's price",
        holds=booked == expected and all(cost > 0 for cost in booked),
        seen=(booked, expected),
    )
    budgets = [
        (line["axis"], Decimal(line["settled_usd"]), Decimal(line["reserved_usd"]))
        for line in facts.usage["budgets"]
        if line["axis"] in ("agent", "workspace")
    ]
    yield Check(
        claim="the budgets were charged exactly that, and nothing is reserved any more",
        holds=sorted(budgets)
        == [("agent", facts.cost_usd, Decimal(0)), ("workspace", facts.cost_usd, Decimal(0))],
        seen=budgets,
    )


def _price(run: Json, facts: Facts, workspace: WorkspaceManifest) -> Decimal:
    """Each call is booked in whole millionths of a dollar, rounded up."""
    price = workspace.spec.prices[run["model"]]
    total = Decimal(0)
    for step in facts.journals[run["id"]]:
        if step["kind"] == "model":
            usage = step["output"]["usage"]
            dollars = usage["input_tokens"] * price.input_per_million / _MILLION
            dollars += usage["output_tokens"] * price.output_per_million / _MILLION
            total += dollars.quantize(_MICRODOLLAR, rounding=ROUND_CEILING)
    return total


def _record(facts: Facts) -> Iterator[Check]:
    states = [(run["state"], run["outcome"]) for run in facts.runs]
    yield Check(
        claim="two runs are done",
        holds=states == [("done", "answered")] * 2,
        seen=states,
    )
    kinds: Sequence[str] = facts.kinds(facts.runs[0]) if facts.runs else ()
    yield Check(
        claim="the audit has the whole story of the first run, in order",
        holds=_in_order(kinds, STORY),
        seen=kinds,
    )
    actors = {e["kind"]: e["actor"]["name"] for e in facts.audit}
    yield Check(
        claim="the audit names who approved it, and the agent for what it did",
        holds=(actors.get("approval.approved"), actors.get("effect.done"))
        == ("anna", "dev-platform"),
        seen=actors,
    )


def _in_order(kinds: Sequence[str], story: Sequence[str]) -> bool:
    """Each of the story once; what was decided comes before what was done with it."""
    if sorted(kinds) != sorted(story):
        return False
    at = [kinds.index(kind) for kind in story]
    asked, saved = story.index("approval.asked"), story.index("memory.saved")
    # A note is saved while the card is on its way: which of the two comes first is no promise.
    del at[saved if at[saved] < at[asked] else asked]
    return at == sorted(at)


def _rigs(stage: Stage, facts: Facts) -> Iterator[Check]:
    yield Check(
        claim="no process had to be started again",
        holds=facts.pids_before == facts.pids_after,
        seen=(facts.pids_before, facts.pids_after),
    )
    slack, github = stage.slack, stage.github
    unknown = [
        call.method for call in slack.calls if call.method not in (*slack.methods, "response_url")
    ]
    taken = {d.event_id for d in slack.deliveries if d.status == 200}
    yield Check(
        claim="every delivery of Slack was taken, and no call went astray",
        holds=not slack.lost
        and {d.event_id for d in slack.deliveries if d.status != 200} <= taken
        and not unknown
        and not github.strays,
        seen=([d.status for d in slack.deliveries], unknown, len(github.strays)),
    )


def _texts(messages: Sequence[Message]) -> list[str]:
    return [message.text[:60] for message in messages]
