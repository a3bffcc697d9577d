"""What Slack accepts as Block Kit, with its size limits; a message or view beyond them is refused."""

from collections.abc import Iterator
from typing import Any, NoReturn

# https://docs.slack.dev/reference/block-kit/blocks/
MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
ID_LENGTH = 255
MARKDOWN_LENGTH = 12_000
# Undocumented: slackapi/bolt-js issue 2509.
TOTAL_TEXT = 13_200

KNOWN_BLOCKS = frozenset(
    {
        "actions",
        "alert",
        "call",
        "card",
        "carousel",
        "context",
        "context_actions",
        "divider",
        "file",
        "header",
        "image",
        "input",
        "markdown",
        "plan",
        "rich_text",
        "section",
        "table",
        "task_card",
        "video",
    }
)


class BlockError(Exception):
    """Blocks that Slack refuses, with the message it puts into `response_metadata`."""

    def __init__(self, problem: str, *, too_long: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        # The blocks are each fine, but too much together.
        self.too_long = too_long


def check_blocks(blocks: list[Any], *, most: int = MESSAGE_BLOCKS) -> None:
    """Raises BlockError unless Slack would take these blocks."""
    if len(blocks) > most:
        _refuse(f"no more than {most} items allowed", "/blocks")
    seen: set[str] = set()
    markdown = 0
    for index, block in enumerate(blocks):
        place = f"/blocks/{index}"
        if not isinstance(block, dict) or block.get("type") not in KNOWN_BLOCKS:
            _refuse("unsupported type", f"{place}/type")
        block_id = block.get("block_id")
        if block_id is not None:
            _check_length(block_id, ID_LENGTH, f"{place}/block_id")
            if block_id in seen:
                _refuse("`block_id` already exists", f"{place}/block_id")
            seen.add(block_id)
        _check_block(block, place)
        if block["type"] == "markdown":
            markdown += len(str(block.get("text", "")))
    if markdown > MARKDOWN_LENGTH:
        _refuse(f"must be less than {MARKDOWN_LENGTH + 1} characters in all", "/blocks")
    if sum(len(text) for text in _texts(blocks)) > TOTAL_TEXT:
        raise BlockError("blocks too long", too_long=True)


def _check_block(block: dict[str, Any], place: str) -> None:
    kind = block["type"]
    if kind == "section":
        if "text" not in block and not block.get("fields"):
            _refuse("missing required field: text", place)
        if "text" in block:
            _check_text(block["text"], 3000, f"{place}/text")
        fields = block.get("fields", [])
        if not isinstance(fields, list) or len(fields) > 10:
            _refuse("no more than 10 items allowed", f"{place}/fields")
        for index, text in enumerate(fields):
            _check_text(text, 2000, f"{place}/fields/{index}")
        if "accessory" in block:
            _check_element(block["accessory"], f"{place}/accessory")
    elif kind == "header":
        _check_text(block.get("text"), 150, f"{place}/text", plain=True)
    elif kind in ("actions", "context"):
        most = 25 if kind == "actions" else 10
        elements = block.get("elements")
        if not isinstance(elements, list) or not 1 <= len(elements) <= most:
            _refuse(f"between 1 and {most} items required", f"{place}/elements")
        for index, element in enumerate(elements):
            where = f"{place}/elements/{index}"
            if kind == "context" and isinstance(element, dict) and element.get("type") in ("plain_text", "mrkdwn"):
                _check_text(element, 3000, where)
            else:
                _check_element(element, where)
    elif kind == "image":
        _check_length(block.get("alt_text"), 2000, f"{place}/alt_text")
        if "image_url" in block:
            _check_length(block["image_url"], 3000, f"{place}/image_url")
    elif kind == "input":
        _check_text(block.get("label"), 2000, f"{place}/label", plain=True)
        _check_element(block.get("element"), f"{place}/element")
    elif kind == "markdown":
        _check_length(block.get("text"), MARKDOWN_LENGTH, f"{place}/text")


def _check_element(element: Any, place: str) -> None:
    if not isinstance(element, dict) or not isinstance(element.get("type"), str):
        _refuse("must be an element with a type", place)
    if "action_id" in element:
        _check_length(element["action_id"], ID_LENGTH, f"{place}/action_id")
    if element["type"] == "button":
        _check_text(element.get("text"), 75, f"{place}/text", plain=True)
        for name, most in (("value", 2000), ("url", 3000)):
            if name in element:
                _check_length(element[name], most, f"{place}/{name}", empty_is_fine=True)
    for index, option in enumerate(element.get("options") or []):
        where = f"{place}/options/{index}"
        if index >= 100:
            _refuse("no more than 100 items allowed", f"{place}/options")
        if not isinstance(option, dict):
            _refuse("must be an option", where)
        _check_text(option.get("text"), 75, f"{where}/text")
        _check_length(option.get("value"), 150, f"{where}/value")


def _check_text(text: Any, most: int, place: str, *, plain: bool = False) -> None:
    kinds = ("plain_text",) if plain else ("plain_text", "mrkdwn")
    if not isinstance(text, dict) or text.get("type") not in kinds:
        _refuse(f"must be a {' or '.join(kinds)} object", place)
    _check_length(text.get("text"), most, f"{place}/text")


def _check_length(value: Any, most: int, place: str, *, empty_is_fine: bool = False) -> None:
    if not isinstance(value, str):
        _refuse("must be a string", place)
    if not value and not empty_is_fine:
        _refuse("must be more than 0 characters", place)
    if len(value) > most:
        _refuse(f"must be less than {most + 1} characters", place)


def _texts(part: Any) -> Iterator[str]:
    """Every text that people read in blocks, however deep."""
    if isinstance(part, list):
        for item in part:
            yield from _texts(item)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "text" and isinstance(value, str):
                yield value
            elif isinstance(value, dict | list):
                yield from _texts(value)


def _refuse(problem: str, place: str) -> NoReturn:
    raise BlockError(f"[ERROR] {problem} [json-pointer:{place}]")
