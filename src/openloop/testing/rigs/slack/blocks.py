"""Block Kit's limits, refused in Slack's own words.

Sources: https://docs.slack.dev/reference/block-kit (counts and lengths); the ceiling on a message's
whole text is undocumented and was measured by users (slackapi/bolt-js#2509).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from openloop.testing.rigs.slack.wire import Json

MOST_BLOCKS = 50
MOST_MARKDOWN = 12_000
MOST_TEXT_IN_BLOCKS = 13_200
_MOST_BLOCK_ID = 255

_TEXT_TYPES = ("plain_text", "mrkdwn")
_BUTTON_STYLES = ("primary", "danger")
_IMAGE_FIELDS = ("alt_text", "image_url", "slack_file")
_UNCHECKED = (
    "alert", "call", "card", "carousel", "container", "context_actions", "data_table", "file",
    "input", "plan", "rich_text", "task_card", "video",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where, as a JSON pointer."""

    what: str
    pointer: str

    def __str__(self) -> str:
        return f"[ERROR] {self.what} [json-pointer:{self.pointer}]"


class BlocksTooLong(Exception):
    """The blocks are valid one by one, but too much text together."""


def problems_of(blocks: list[Any]) -> list[Problem]:
    """Everything Slack would refuse; raises BlocksTooLong where only the sum is too long."""
    if len(blocks) > MOST_BLOCKS:
        return [Problem(f"no more than {MOST_BLOCKS} items allowed", "/blocks")]
    found = [problem for at, block in enumerate(blocks) for problem in _block(block, at)]
    found.extend(_repeated_ids(blocks))
    if not found:
        _check_length(cast("list[Json]", blocks))
    return found


def with_ids(blocks: Iterable[Json], fresh_id: Iterator[str]) -> list[Json]:
    """The blocks as Slack stores them: each has an id."""
    return [
        block if "block_id" in block else {**block, "block_id": next(fresh_id)} for block in blocks
    ]


def _block(block: object, at: int) -> Iterator[Problem]:
    here = f"/blocks/{at}"
    if not isinstance(block, dict):
        yield Problem("must be an object", here)
        return
    block = cast("Json", block)
    kind = block.get("type")
    if kind in _UNCHECKED:
        return
    rule = _BLOCK_RULES.get(str(kind))
    if rule is None:
        yield Problem(f"unsupported type: {kind}", f"{here}/type")
        return
    check, fields = rule
    yield from _unknown_fields(block, (*fields, "type", "block_id"), here)
    yield from _length(block.get("block_id"), here + "/block_id", _MOST_BLOCK_ID)
    yield from check(block, here)


def _unknown_fields(value: Json, known: Iterable[str], here: str) -> Iterator[Problem]:
    for field in value.keys() - set(known):
        yield Problem(f"invalid additional property: {field}", here)


def _length(value: object, here: str, most: int, *, required: bool = False) -> Iterator[Problem]:
    if value is None:
        if required:
            yield Problem(f"missing required field: {here.rsplit('/', 1)[1]}", here)
    elif not isinstance(value, str):
        yield Problem("must be a string", here)
    elif required and not value:
        yield Problem("must be more than 0 characters", here)
    elif len(value) > most:
        yield Problem(f"must be less than {most + 1} characters", here)


def _text(
    value: object, here: str, most: int, *, types: tuple[str, ...] = _TEXT_TYPES
) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem("must provide an object", here)
        return
    text = cast("Json", value)
    if text.get("type") not in types:
        yield Problem(f"unsupported type: {text.get('type')}", f"{here}/type")
    plain = text.get("type") == "plain_text"
    yield from _unknown_fields(text, ("type", "text", "emoji" if plain else "verbatim"), here)
    yield from _length(text.get("text"), f"{here}/text", most, required=True)


def _items(value: object, here: str, *, most: int) -> Iterator[tuple[object, str] | Problem]:
    if not isinstance(value, list) or not value:
        yield Problem("must provide an array with items", here)
        return
    items = cast("list[object]", value)
    if len(items) > most:
        yield Problem(f"no more than {most} items allowed", here)
        return
    for at, item in enumerate(items):
        yield item, f"{here}/{at}"


def _section(block: Json, here: str) -> Iterator[Problem]:
    if "text" not in block and "fields" not in block:
        yield Problem("missing required field: text", here)
    if "text" in block:
        yield from _text(block["text"], f"{here}/text", 3000)
    if "fields" in block:
        for item in _items(block["fields"], f"{here}/fields", most=10):
            if isinstance(item, Problem):
                yield item
            else:
                yield from _text(*item, 2000)
    if "accessory" in block:
        yield from _element(block["accessory"], f"{here}/accessory")


def _header(block: Json, here: str) -> Iterator[Problem]:
    yield from _text(block.get("text"), f"{here}/text", 150, types=("plain_text",))


def _divider(_block: Json, _here: str) -> Iterator[Problem]:
    yield from ()


def _context(block: Json, here: str) -> Iterator[Problem]:
    for item in _items(block.get("elements"), f"{here}/elements", most=10):
        if isinstance(item, Problem):
            yield item
            continue
        value, at = item
        element = cast("Json", value) if isinstance(value, dict) else {}
        if element.get("type") == "image":
            yield from _unknown_fields(element, ("type", *_IMAGE_FIELDS), at)
            yield from _image(element, at)
        else:
            yield from _text(cast("object", value), at, 3000)


def _image(block: Json, here: str) -> Iterator[Problem]:
    yield from _length(block.get("alt_text"), f"{here}/alt_text", 2000, required=True)
    if "slack_file" not in block:
        yield from _length(block.get("image_url"), f"{here}/image_url", 3000, required=True)
    if "title" in block:
        yield from _text(block["title"], f"{here}/title", 2000, types=("plain_text",))


def _actions(block: Json, here: str) -> Iterator[Problem]:
    for item in _items(block.get("elements"), f"{here}/elements", most=25):
        if isinstance(item, Problem):
            yield item
        else:
            yield from _element(*item)


def _element(value: object, here: str) -> Iterator[Problem]:
    if not isinstance(value, dict) or "type" not in value:
        yield Problem("missing required field: type", here)
        return
    element = cast("Json", value)
    yield from _length(element.get("action_id"), f"{here}/action_id", 255)
    if element["type"] == "button":
        yield from _button(element, here)


def _button(button: Json, here: str) -> Iterator[Problem]:
    known = (
        "type", "text", "action_id", "value", "url", "style", "confirm", "accessibility_label",
    )  # fmt: skip
    yield from _unknown_fields(button, known, here)
    yield from _text(button.get("text"), f"{here}/text", 75, types=("plain_text",))
    yield from _length(button.get("value"), f"{here}/value", 2000)
    yield from _length(button.get("url"), f"{here}/url", 3000)
    yield from _length(button.get("accessibility_label"), f"{here}/accessibility_label", 75)
    if "style" in button and button["style"] not in _BUTTON_STYLES:
        yield Problem("must be a valid enum value", f"{here}/style")
    if isinstance(confirm := button.get("confirm"), dict):
        yield from _confirm(cast("Json", confirm), f"{here}/confirm")


def _confirm(confirm: Json, here: str) -> Iterator[Problem]:
    plain = ("plain_text",)
    yield from _text(confirm.get("title"), f"{here}/title", 100, types=plain)
    yield from _text(confirm.get("text"), f"{here}/text", 300)
    yield from _text(confirm.get("confirm"), f"{here}/confirm", 30, types=plain)
    yield from _text(confirm.get("deny"), f"{here}/deny", 30, types=plain)


def _markdown(block: Json, here: str) -> Iterator[Problem]:
    yield from _length(block.get("text"), f"{here}/text", MOST_MARKDOWN, required=True)


def _table(block: Json, here: str) -> Iterator[Problem]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not rows:
        yield Problem("must provide an array with items", f"{here}/rows")
        return
    rows = cast("list[list[Json]]", rows)
    if len(rows) > 100:
        yield Problem("no more than 100 items allowed", f"{here}/rows")
    if any(len(row) > 20 for row in rows):
        yield Problem("no more than 20 items allowed", f"{here}/rows")
    if sum(map(_text_length, rows)) > 10_000:
        yield Problem("must be less than 10001 characters", f"{here}/rows")


_BLOCK_RULES: Mapping[str, Any] = {
    "actions": (_actions, ("elements",)),
    "context": (_context, ("elements",)),
    "divider": (_divider, ()),
    "header": (_header, ("text", "level")),
    "image": (_image, (*_IMAGE_FIELDS, "title")),
    "markdown": (_markdown, ("text",)),
    "section": (_section, ("text", "fields", "accessory", "expand")),
    "table": (_table, ("rows", "column_settings")),
}


def _repeated_ids(blocks: list[Any]) -> Iterator[Problem]:
    seen: set[str] = set()
    for at, block in enumerate(blocks):
        block_id = cast("Json", block).get("block_id") if isinstance(block, dict) else None
        if isinstance(block_id, str):
            if block_id in seen:
                yield Problem("`block_id` must be unique", f"/blocks/{at}/block_id")
            seen.add(block_id)


def _check_length(blocks: list[Json]) -> None:
    markdown = sum(len(block["text"]) for block in blocks if block.get("type") == "markdown")
    if markdown > MOST_MARKDOWN or _text_length(blocks) > MOST_TEXT_IN_BLOCKS:
        raise BlocksTooLong


def _text_length(node: object) -> int:
    if isinstance(node, dict):
        value = cast("Json", node)
        own = value.get("text")
        inner = sum(_text_length(part) for key, part in value.items() if key != "text")
        return inner + (len(own) if isinstance(own, str) else _text_length(own))
    if isinstance(node, list):
        return sum(_text_length(part) for part in cast("list[object]", node))
    return 0
