"""The file of master keys: made once, private, and never without a key that a row still needs."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from openloop.domain.errors import Misconfigured
from openloop.runtime.master_keys import MasterKeyFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> MasterKeyFile:
    """Not there yet."""
    return MasterKeyFile(tmp_path.resolve() / "secrets" / "keys")


def test_a_key_is_made_once_and_only_for_its_owner(file: MasterKeyFile) -> None:
    assert file.by_id() == {}
    key = file.newest()
    assert file.newest() == key
    assert file.by_id() == {key.id: key}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert key.write() not in repr(key)


def test_a_rotation_keeps_the_old_key_until_it_is_done(file: MasterKeyFile) -> None:
    old = file.newest()
    with file.rotation() as new:
        assert file.newest() == new
        assert set(file.by_id()) == {old.id, new.id}
    assert file.by_id() == {new.id: new}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_rotation_that_breaks_off_loses_no_key(file: MasterKeyFile) -> None:
    old = file.newest()
    with pytest.raises(KeyError), file.rotation() as first:
        raise KeyError
    assert set(file.by_id()) == {old.id, first.id}
    with file.rotation() as second:
        assert set(file.by_id()) == {old.id, first.id, second.id}
    assert file.by_id() == {second.id: second}


def test_a_file_that_others_may_read_is_refused(file: MasterKeyFile) -> None:
    file.newest()
    file.path.chmod(0o644)
    with pytest.raises(Misconfigured, match="others may read"):
        file.newest()


@pytest.mark.parametrize("text", ["no key", "AAAA", "ä"])
def test_a_file_with_something_else_is_refused(file: MasterKeyFile, text: str) -> None:
    file.newest()
    file.path.write_text(text)
    with pytest.raises(Misconfigured, match="holds something that is no master key"):
        file.by_id()
