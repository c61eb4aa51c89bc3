"""Secrets by reference: followed where everything about them is right, refused in words elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop import settings
from openloop.domain.errors import Misconfigured
from openloop.domain.redaction import REDACTED
from openloop.domain.secret import SecretRef, SecretRefused, parse_reference
from openloop.runtime.private_files import read_private
from openloop.runtime.secret_references import follow

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = "the-value-of-the-secret"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file as it should be."""
    made = tmp_path.resolve() / "token"
    made.write_text(VALUE + "\n")
    made.chmod(0o600)
    return made


def problem_of(reference: str, **environ: str) -> str:
    """The one problem, without the name of the variable."""
    followed = follow({"A_TOKEN": reference, **environ}, never_stored=("OPENLOOP_HOME",))
    [problem] = followed.problems
    assert VALUE not in problem
    assert "A_TOKEN" not in followed.references
    return problem.removeprefix("A_TOKEN: ")


def test_references_are_followed(file: Path) -> None:
    followed = follow(
        {
            "A_TOKEN": "secretref://env/OTHER",
            "B_TOKEN": f"secretref://file{file}",
            "C_TOKEN": "secretref://store/github",
            "OTHER": VALUE,
            "PLAIN": "https://example.com",
        },
        never_stored=(),
    )
    assert followed.problems == ()
    assert followed.environ == {
        "A_TOKEN": VALUE,
        "B_TOKEN": VALUE,
        "OTHER": VALUE,
        "PLAIN": "https://example.com",
    }
    assert followed.references["C_TOKEN"] == SecretRef("store", "github")
    assert followed.references["B_TOKEN"] == SecretRef("file", str(file))
    assert VALUE not in repr(followed)


@pytest.mark.parametrize(
    "text",
    [
        "secretref://",
        "secretref://env",
        "secretref://env/",
        "secretref://env/A-B",
        "secretref://env/A/B",
        "secretref://file/",
        "secretref://file/a\0b",
        "secretref://store/Upper",
        "secretref://store/../x",
        "secretref://store/",
        "secretref://vault/x",
        f"secretref://{VALUE}",
    ],
)
def test_what_is_no_reference_is_refused_and_not_repeated(text: str) -> None:
    assert problem_of(text).startswith("a reference is secretref://env/NAME")


def test_a_reference_is_written_as_it_was_read() -> None:
    for text in ("secretref://env/A_B", "secretref://file/run/a", "secretref://store/a.b-c_d"):
        assert str(parse_reference(text)) == text


def test_a_variable_that_is_missing_or_a_reference_itself_is_refused() -> None:
    assert problem_of("secretref://env/NONE") == "the variable NONE is not set"
    other = {"OTHER": "secretref://store/x"}
    followed = follow({"A_TOKEN": "secretref://env/OTHER", **other}, never_stored=())
    assert followed.problems == ("A_TOKEN: the variable OTHER is a reference itself",)


def _others_read(file: Path) -> Path:
    file.chmod(0o640)
    return file


def _linked(file: Path) -> Path:
    link = file.with_name("link")
    link.symlink_to(file)
    return link


def _behind_a_linked_folder(file: Path) -> Path:
    folder = file.with_name("folder")
    folder.symlink_to(file.parent)
    return folder / file.name


def _where_others_write(file: Path) -> Path:
    folder = file.with_name("open")
    folder.mkdir()
    folder.chmod(0o777)
    moved = folder / "token"
    file.rename(moved)
    return moved


def _a_folder(file: Path) -> Path:
    folder = file.with_name("folder")
    folder.mkdir(mode=0o700)
    return folder


def _a_pipe(file: Path) -> Path:
    pipe = file.with_name("pipe")
    os.mkfifo(pipe, 0o600)
    return pipe


def _huge(file: Path) -> Path:
    file.write_bytes(b"x" * (64 * 1024 + 2))
    return file


def _not_text(file: Path) -> Path:
    file.write_bytes(b"\xff\xfe")
    return file


def _empty(file: Path) -> Path:
    file.write_text("\n")
    return file


def _missing(file: Path) -> Path:
    return file.with_name("missing")


def _climbing(file: Path) -> Path:
    return Path(f"{file.parent}/x/../token")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_others_read, "others may read"),
        (_linked, "is a symbolic link"),
        (_behind_a_linked_folder, "is a symbolic link"),
        (_where_others_write, "others may write to the folder"),
        (_a_folder, "is not a file"),
        (_a_pipe, "is not a file"),
        (_huge, "is larger than 64 KiB"),
        (_not_text, "is not UTF-8 text"),
        (_empty, "it is empty"),
        (_missing, "there is no file"),
        (_climbing, "is not an absolute path without '..'"),
    ],
)
def test_a_file_that_is_not_ones_own_is_refused(
    file: Path, made: Callable[[Path], Path], said: str
) -> None:
    assert said in problem_of(f"secretref://file{made(file)}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(file: Path) -> None:
    os.chown(file, 12345, 12345)
    with pytest.raises(SecretRefused, match="belongs to somebody else"):
        read_private(file)


def test_settings_refuse_every_broken_reference_at_once(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        settings.load(
            {
                "GITHUB_TOKEN": "secretref://env/NONE",
                "SLACK_BOT_TOKEN": f"secretref://file{tmp_path}/none",
                "DATABASE_URL": "secretref://store/database",
                "OPENLOOP_PORT": "none",
            }
        )
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "GITHUB_TOKEN",
        "SLACK_BOT_TOKEN",
        "DATABASE_URL",
        "OPENLOOP_PORT='none' must be a whole number from 1 to 65535",
    ]


def test_settings_know_what_is_secret_and_show_none_of_it(file: Path) -> None:
    loaded = settings.load(
        {"GITHUB_TOKEN": f"secretref://file{file}", "SLACK_SIGNING_SECRET": "signing-secret-1"}
    )
    assert loaded.environ["GITHUB_TOKEN"] == VALUE
    assert loaded.given["GITHUB_TOKEN"].startswith("secretref://")
    assert loaded.redactor.text(f"{VALUE} signing-secret-1") == f"{REDACTED} {REDACTED}"
    assert VALUE not in repr(loaded)
    assert "signing-secret-1" not in repr(loaded)
