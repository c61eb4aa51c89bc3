"""`openloop tokens` where a token carries some rights of its role only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.cli.tokens import RIGHTS, ROLES
from openloop.domain.principal import Right, Role

if TYPE_CHECKING:
    from tests.cli.conftest import FakeServer, OpenLoop

TOKEN = {
    "id": "a",
    "name": "ci",
    "principal_id": "01999999-0000-7000-8000-000000000000",
    "principal": "robot",
    "role": "operator",
    "only": None,
    "created_at": "2026-11-20T12:00:00Z",
    "expires_at": "2026-12-20T12:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}


def test_the_names_of_roles_and_rights_are_those_of_the_domain() -> None:
    assert tuple(Role) == ROLES
    assert tuple(Right) == RIGHTS


@pytest.mark.parametrize("given", ["see,run", " see , run,see"])
def test_a_token_is_made_with_some_rights_only(
    connected: FakeServer, openloop: OpenLoop, given: str
) -> None:
    connected.answer("POST /api/v1/tokens", {"id": "a", "token": "ol_operator_x"}, status=201)
    ran = openloop("tokens", "create", "--role", "operator", "--name", "ci", "--only", given)
    assert ran.out == "ol_operator_x\n"
    assert connected.asked[0].json["only"] == ["see", "run"]


@pytest.mark.parametrize("given", ["", "see,", "fly", "see,fly", "SEE"])
def test_what_is_no_right_is_told_with_those_there_are(
    connected: FakeServer, openloop: OpenLoop, given: str
) -> None:
    ran = openloop("tokens", "create", "--only", given)
    assert ran.status == 2
    assert "rights are see, oversee, run, vote" in " ".join(ran.err.split())
    assert connected.asked == []


def test_the_list_says_what_each_token_carries(connected: FakeServer, openloop: OpenLoop) -> None:
    narrow = {**TOKEN, "id": "b", "only": ["see", "run"]}
    page = {"items": [TOKEN, narrow], "next_cursor": None, "as_of": "1-1"}
    connected.answer("GET /api/v1/tokens", page)
    lines = openloop("tokens", "list").out.splitlines()
    assert "RIGHTS" in lines[0].split()
    assert "all" in lines[1].split()
    assert "see,run" in lines[2].split()
