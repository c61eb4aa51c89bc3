"""The product against the real GitHub and a real model; see README.md beside this file."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop.integrations.github.clients import client_of
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.settings import GitHubSettings
from openloop.testing.rigs.github import GitHubRig
from tests.live.journey import open_installation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openloop.integrations.github.client import GitHubClient

NEEDED = ("E2E_LIVE", "E2E_CONFIRM", "E2E_MODEL", "E2E_GITHUB_REPO")
SCRIPT = """\
price: { input_per_million: 1, output_per_million: 1 }
max_output_tokens: 1000
usage: { input: 100, output: 50 }
scenarios:
  - name: an issue
    match: "OpenLoop live test"
    turns:
      - say: I propose the issue.
        call:
          - name: github__create_issue
            arguments: { repo: acme/platform, title: "TITLE", body: "A test." }
      - say: "Done: {tool.link}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where it is played."""

    repo: str
    model: str
    environ: Mapping[str, str]


def real_scene() -> Scene:
    """The one of the environment; skips where that does not ask for it."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if GitHubSettings.read(os.environ) is None:
        missing.append("GITHUB_TOKEN or GITHUB_APP_ID")
    if missing:
        pytest.skip(f"live tests are asked for by {', '.join(missing)} (tests/live/README.md)")
    return Scene(repo=os.environ["E2E_GITHUB_REPO"], model=os.environ["E2E_MODEL"], environ={})


async def play(scene: Scene, home: Path, *, title: str) -> None:
    """Ask, propose, hold, approve, create, answer; the issue is closed whatever happens."""
    settings = GitHubSettings.read({**os.environ, **scene.environ})
    assert settings is not None
    repo = RepoName.parse(scene.repo)
    async with client_of(settings) as client:
        try:
            async with open_installation(
                home, repo=scene.repo, model=scene.model, environ=scene.environ
            ) as installation:
                conversation = await installation.ask(
                    f"Open exactly one issue in {scene.repo}, titled {title!r}, whose text is "
                    "'A test; it is closed by itself.' Then tell me its address."
                )
                card = await installation.sent(conversation, "Ask")
                assert await numbers(client, repo, title) == []  # held: nothing is there yet
                await installation.approve(card["approval_id"])
                said = await installation.sent(conversation, "Say")
            [number] = await numbers(client, repo, title)
            assert re.search(rf"(?:#|/issues/){number}\b", said["op"]["markdown"])
        finally:
            for number in await numbers(client, repo, title):
                await client.update_issue(repo, number, state="closed")


async def numbers(client: GitHubClient, repo: RepoName, title: str) -> list[int]:
    """The open issues of that title."""
    page = await client.list_issues(repo, state="open", page_size=100)
    return [issue.number for issue in page.items if issue.title == title]


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's tmp_path: root's is private, and root's server runs as another user."""
    with tempfile.TemporaryDirectory(prefix="openloop-live-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.enable_socket
async def test_an_issue_is_asked_for_approved_created_and_closed_again(home: Path) -> None:
    await play(real_scene(), home, title=f"OpenLoop live test {uuid.uuid4().hex[:12]}")


@pytest.mark.skipif(
    os.environ.get("E2E_REHEARSAL") != "1", reason="the rehearsal is asked for by E2E_REHEARSAL=1"
)
async def test_the_same_is_played_against_the_fake_and_a_scripted_model(home: Path) -> None:
    title, scripts = "OpenLoop live test, rehearsed", home / "scripts"
    scripts.mkdir()
    (scripts / "live.yaml").write_text(SCRIPT.replace("TITLE", title))
    async with GitHubRig(token="ghp_rehearsal_0123456789") as rig:
        rig.state.add_repository("acme/platform")
        environ = {
            "GITHUB_TOKEN": rig.token,
            "GITHUB_API_URL": rig.api_url,
            "OPENLOOP_SCRIPTS": str(scripts),
        }
        scene = Scene(repo="acme/platform", model="scripted/live", environ=environ)
        await play(scene, home, title=title)
        [issue] = rig.state.repositories["acme/platform"].issues.values()
        assert (issue.title, issue.state) == (title, "closed")
