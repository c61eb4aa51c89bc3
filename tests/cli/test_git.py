"""Reading manifests out of a repository: nothing of it is acted on, and nothing of it is believed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from openloop.cli import git
from openloop.cli.failures import LocalFailure
from openloop.domain.errors import Invalid

WORKSPACE = "kind: Workspace\n"


class Repository:
    """A bare repository, and a working copy that pushes to it."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.work = folder / "config.git", folder / "work"
        self.git("init", "--bare", "--quiet", "--initial-branch=main", str(self.bare), cwd=folder)
        self.git("init", "--quiet", "--initial-branch=main", str(self.work), cwd=folder)

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def git(self, *arguments: str, cwd: Path | None = None, author: str = "ben") -> str:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_EMAIL": f"{author}@example.com",
            "GIT_COMMITTER_NAME": author,
            "GIT_COMMITTER_EMAIL": f"{author}@example.com",
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.work,
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str], *, author: str = "ben", branch: str = "main") -> str:
        """Write files and push them; the commit's id."""
        for name, text in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        self.git("add", "--all", author=author)
        self.git("commit", "--quiet", "--message", "config", author=author)
        self.git("push", "--quiet", "--force", str(self.bare), f"HEAD:{branch}")
        return self.git("rev-parse", "HEAD")


def not_called(*_: object, **__: object) -> None:
    pytest.fail("git was called")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_the_manifests_of_a_commit_are_read(repository: Repository) -> None:
    commit = repository.commit(
        {
            "workspace.yaml": WORKSPACE,
            "agents/dev.yml": "kind: Agent\n",
            "agents/deep/er.yaml": "kind: Agent\n",
            "README.md": "hello\n",
        }
    )

    top = git.fetch(repository.url, ref="main", folder=".")
    below = git.fetch(repository.url, ref="main", folder="agents")

    assert top.commit == below.commit == commit
    assert [(file.name, file.text) for file in top.files] == [("workspace.yaml", WORKSPACE)]
    assert [file.name for file in below.files] == ["agents/dev.yml"]


def test_a_branch_is_read_as_it_is_now(repository: Repository) -> None:
    repository.commit({"a.yaml": "one\n"})
    assert git.fetch(repository.url, ref="main", folder=".").files[0].text == "one\n"

    second = repository.commit({"a.yaml": "two\n"})

    fetched = git.fetch(repository.url, ref="main", folder=".")
    assert (fetched.commit, fetched.files[0].text) == (second, "two\n")


def test_nothing_that_a_repository_says_of_itself_is_acted_on(
    repository: Repository, tmp_path: Path
) -> None:
    """Hooks, filters, a file system monitor, aliases, links and submodules: none leaves a mark."""
    mark, hook = tmp_path / "mark", tmp_path / "hook.sh"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    hook.chmod(0o755)
    repository.commit(
        {
            "a.yaml": "one\n",
            ".gitattributes": "*.yaml filter=evil diff=evil export-subst\n",
            ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::{hook}\n',
            ".gitconfig": f"[core]\n\tfsmonitor = {hook}\n",
        }
    )
    (repository.work / "link.yaml").symlink_to("/etc/passwd")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "link")
    repository.git("push", "--quiet", "--force", str(repository.bare), "HEAD:main")
    for key, value in (
        ("core.fsmonitor", str(hook)),
        ("core.hooksPath", str(tmp_path)),
        ("core.sshCommand", str(hook)),
        ("core.pager", str(hook)),
        ("filter.evil.smudge", str(hook)),
        ("uploadpack.packObjectsHook", str(hook)),
    ):
        repository.git("config", key, value, cwd=repository.bare)
    for name in ("post-checkout", "reference-transaction", "pre-receive", "post-index-change"):
        copied = repository.bare / "hooks" / name
        copied.write_text(hook.read_text())
        copied.chmod(0o755)

    fetched = git.fetch(repository.url, ref="main", folder=".")

    assert [file.name for file in fetched.files] == ["a.yaml"]
    assert not mark.exists()


def test_the_configuration_of_the_machine_is_not_read(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"a.yaml": "one\n"})
    home = tmp_path / "operator"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "file:///nowhere"]\n\tinsteadOf = {repository.url}\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.fsmonitor=true'")

    assert git.fetch(repository.url, ref="main", folder=".").files


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/x",
        "http://example.com/config.git",
        "git://example.com/config.git",
        "https://user:secret@example.com/config.git",
        "https://token@example.com/config.git",
        "file://host/config.git",
        "--upload-pack=touch",
        "ftp://example.com/x",
    ],
)
def test_other_addresses_are_refused_before_git_is_called(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", not_called)

    with pytest.raises(Invalid):
        git.fetch(url, ref="main", folder=".")


@pytest.mark.parametrize(
    ("ref", "folder"),
    [("-x", "."), ("a..b", "."), ("main", "../x"), ("main", "/etc"), ("a b", ".")],
)
def test_other_names_are_refused_before_git_is_called(
    ref: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", not_called)

    with pytest.raises(Invalid):
        git.fetch("https://example.com/config.git", ref=ref, folder=folder)


def test_a_repository_without_the_branch_or_a_manifest_is_told(repository: Repository) -> None:
    repository.commit({"README.md": "hello\n"})

    with pytest.raises(Invalid, match="no manifest"):
        git.fetch(repository.url, ref="main", folder=".")
    with pytest.raises(LocalFailure, match="other"):
        git.fetch(repository.url, ref="other", folder=".")
    with pytest.raises(LocalFailure):
        git.fetch("file:///nowhere/config.git", ref="main", folder=".")


def test_what_is_too_large_or_no_text_is_refused(repository: Repository) -> None:
    repository.commit({"a.yaml": "x" * (256 * 1024 + 1)})
    with pytest.raises(Invalid, match="256 KiB"):
        git.fetch(repository.url, ref="main", folder=".")

    (repository.work / "a.yaml").write_bytes(b"\xff\xfe")
    repository.commit({})
    with pytest.raises(Invalid, match="UTF-8"):
        git.fetch(repository.url, ref="main", folder=".")


def test_a_machine_without_git_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(LocalFailure, match="not installed"):
        git.fetch("https://example.com/config.git", ref="main", folder=".")


def test_what_we_set_wins_over_what_a_repository_sets(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("config", "core.hooksPath", "/somewhere", cwd=repository.bare)
    asked = ["git", "config", "--get"]

    found = {
        key: subprocess.run(
            [*asked, key],
            cwd=repository.bare,
            env=dict(git.environment(str(tmp_path))),
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        for key in git.OVERRIDES
    }

    assert found == git.OVERRIDES
