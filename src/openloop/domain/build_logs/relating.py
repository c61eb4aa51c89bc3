"""Which of the files that somebody changed does a log name?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from openloop.domain.build_logs.analysis import Excerpt

_PATH: Final = re.compile(r"[\w@~.+/\\-]{1,300}\.[A-Za-z]\w{0,9}")
_MOST_PLACES: Final = 5


def named_files(excerpts: Iterable[Excerpt], changed: Iterable[str]) -> Mapping[str, Sequence[int]]:
    """The changed files that excerpts name, each with lines of the log, the oftenest named first.

    A name counts where one of both ends with the whole of the other: a log names files from
    wherever the tool was started, and a module without its folder.
    """
    places: dict[str, list[int]] = {}
    for number, path in _paths(excerpts):
        places.setdefault(path, []).append(number)
    found = {
        file: sorted({number for path in places if _is_same(path, file) for number in places[path]})
        for file in dict.fromkeys(changed)
    }
    named = {file: numbers[:_MOST_PLACES] for file, numbers in found.items() if numbers}
    return dict(sorted(named.items(), key=lambda each: (-len(found[each[0]]), each[1][0])))


def _paths(excerpts: Iterable[Excerpt]) -> Iterable[tuple[int, str]]:
    for excerpt in excerpts:
        for line in excerpt.lines:
            for match in _PATH.finditer(line.text):
                yield line.number, match[0].replace("\\", "/").removeprefix("./")


def _is_same(path: str, file: str) -> bool:
    if path == file or path.endswith(f"/{file}"):
        return True
    # A bare name of a file would fit too many of them.
    return "/" in path and file.endswith(f"/{path}")
