"""What a command answers, on standard output: `-o table|wide|json|yaml|name`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import click

from openloop.cli.lazy import OUTPUT
from openloop.cli.text import clean, escape_json, one_line, pad, shorten, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Json: TypeAlias = dict[str, Any]
Format: TypeAlias = Literal["table", "wide", "json", "yaml", "name"]
FORMATS: Final = ("table", "wide", "json", "yaml", "name")

_GAP: Final = 2
_MOST_COLUMNS: Final = 60
_COLOURS: Final = {
    "ok": "green",
    "done": "green",
    "approved": "green",
    "executed": "green",
    "working": "cyan",
    "waiting": "yellow",
    "pending": "yellow",
    "unknown": "red",
    "failed": "red",
    "denied": "red",
    "problem": "red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its title, and the text of a row. `wide` ones are shown with `-o wide` only."""

    title: str
    text: Callable[[Json], object]
    wide: bool = False


def field(title: str, *keys: str, wide: bool = False) -> Column:
    """A column that shows one value, found by its keys."""
    return Column(title=title, text=lambda row: value(row, *keys), wide=wide)


def value(row: Json, *keys: str) -> object:
    """A value inside of an answer, and nothing where it is absent."""
    found: Any = row
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return "" if found is None else found  # pyright: ignore[reportUnknownVariableType]


def output_option(command: Callable[..., object]) -> Callable[..., object]:
    """Add `-o`; the command gets it as `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        callback=_remember,
        is_eager=True,
        help="How the answer is written.",
    )(command)


def _remember(ctx: click.Context, _parameter: click.Parameter, chosen: str) -> str:
    ctx.meta[OUTPUT] = chosen
    return chosen


def show_list(
    answer: object,
    rows: Sequence[Json],
    columns: Sequence[Column],
    *,
    output: Format,
    name: Callable[[Json], str],
    nothing: str,
) -> None:
    """Write a list. `answer` is what the server said, for JSON and YAML; `name` is for `-o name`."""
    if output in ("json", "yaml"):
        show_answer(answer, output)
    elif output == "name":
        for row in rows:
            click.echo(clean(name(row)))
    elif not rows:
        say(nothing)
    else:
        shown = [column for column in columns if output == "wide" or not column.wide]
        click.echo(table(rows, shown, most=None if output == "wide" else _MOST_COLUMNS))
        _say_how_it_goes_on(answer)


def _say_how_it_goes_on(answer: object) -> None:
    """Where there is another page, and the command can ask for it."""
    ctx = click.get_current_context(silent=True)
    if isinstance(answer, dict) and ctx is not None and "cursor" in ctx.params:
        cursor = value(cast("Json", answer), "next_cursor")
        if cursor:
            say(f"There is more: --cursor {one_line(cursor)}")


def show_one(
    answer: Json, lines: Sequence[tuple[str, object]], *, output: Format, name: str
) -> None:
    """Write one thing: what the server said, or labelled lines; empty ones are left out."""
    if output in ("json", "yaml"):
        show_answer(answer, output)
    elif output == "name":
        click.echo(clean(name))
    else:
        kept = [(label, text) for label, text in lines if text not in ("", None)]
        widest = max(width(label) for label, _ in kept) + 1
        for label, text in kept:
            click.echo(_labelled(f"{label}:", clean(str(text)), widest))


def _labelled(label: str, text: str, widest: int) -> str:
    first, *more = text.splitlines() or [""]
    indent = "\n" + " " * (widest + _GAP)
    return pad(label, widest + _GAP) + indent.join([first, *more])


def table(rows: Iterable[Json], columns: Sequence[Column], *, most: int | None) -> str:
    """Aligned columns under their titles; `most` columns of the terminal for each."""
    texts = [[_cell(column.text(row), most) for column in columns] for row in rows]
    titles = [column.title for column in columns]
    widths = [max(map(width, column)) for column in zip(titles, *texts, strict=True)]
    lines = [_joined(titles, widths), *(_joined(cells, widths, _coloured) for cells in texts)]
    return "\n".join(lines)


def _cell(text: object, most: int | None) -> str:
    line = one_line("" if text is None else text)
    return line if most is None else shorten(line, most)


def _joined(cells: Sequence[str], widths: Sequence[int], colour: Callable[[str], str] = str) -> str:
    padded = (
        colour(cell) + pad("", w - width(cell)) for cell, w in zip(cells, widths, strict=True)
    )
    return (" " * _GAP).join(padded).rstrip()


def _coloured(cell: str) -> str:
    colour = _COLOURS.get(cell)
    return click.style(cell, fg=colour) if colour and has_colour() else cell


def has_colour() -> bool:
    """Whether standard output is a terminal whose reader did not say NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def show_answer(answer: object, output: Format) -> None:
    """What the server said, as JSON or YAML."""
    if output == "json":
        click.echo(escape_json(json.dumps(answer, indent=2, ensure_ascii=False)))
        return
    import yaml  # noqa: PLC0415  # only here, and slow to import

    text = yaml.safe_dump(_cleaned(answer), sort_keys=False, allow_unicode=True, width=100)
    click.echo(text, nl=False)


def json_line(answer: object) -> str:
    """One JSON value in one line, for output that goes on."""
    return escape_json(json.dumps(answer, ensure_ascii=False))


def _cleaned(answer: Any) -> Any:
    match answer:
        case str():
            return clean(answer)
        case dict():
            return {clean(str(key)): _cleaned(each) for key, each in answer.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list():
            return [_cleaned(each) for each in answer]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return answer


def say(text: str) -> None:
    """Tell the person something that is not the answer, on standard error."""
    click.echo(text, err=True)
