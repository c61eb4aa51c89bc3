"""A key ring in memory, for tests of what is done with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openloop.domain.sealed_secret import MasterKey

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Keys:
    """Master keys, newest last."""

    keys: list[MasterKey] = field(default_factory=lambda: [MasterKey.new()])

    def newest(self) -> MasterKey:
        return self.keys[-1]

    def by_id(self) -> Mapping[str, MasterKey]:
        return {key.id: key for key in self.keys}
