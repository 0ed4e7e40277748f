"""The limits that Slack publishes for Block Kit, checked as the server checks them.

Written from the reference pages of blocks, block elements and composition objects (docs.slack.dev,
"Block Kit"), and from nothing that renders a message. A character is counted as JavaScript counts
it (UTF-16), which is the stricter of the readings that the pages leave open.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

BLOCKS_IN_MESSAGE = 50
BLOCKS_IN_VIEW = 100
#: Not on the reference pages; posting more was seen to fail with `msg_blocks_too_long`.
ALL_TEXT = 13_200
#: Above it Slack cuts the text of a message; it advises 4,000 and refuses nothing below.
MESSAGE_TEXT = 40_000


class BlockError(Exception):
    """What Slack would answer with `invalid_blocks`, with the place in the blocks."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{problem} [json-pointer:{path}]")
        self.path, self.problem = path, problem


def length(text: str) -> int:
    """Characters of a text, as UTF-16 counts them."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def validate_blocks(blocks: object, path: str = "/blocks", most: int = BLOCKS_IN_MESSAGE) -> None:
    """Raise BlockError for the first thing that Slack refuses."""
    found = _array(blocks, path, 0, most)
    ids: set[str] = set()
    for number, block in enumerate(found):
        place = f"{path}/{number}"
        _object(block, place)
        check = _BLOCKS.get(block.get("type", ""))
        if check is None:
            raise BlockError(f"{place}/type", f"unsupported type: {block.get('type')}")
        if "block_id" in block:
            _string(block["block_id"], f"{place}/block_id", 255)
            if block["block_id"] in ids:
                raise BlockError(f"{place}/block_id", "duplicate block_id")
            ids.add(block["block_id"])
        check(block, place)


def validate_view(view: object) -> None:
    """Raise BlockError for the first thing in a modal that Slack refuses."""
    modal = _object(view, "/view")
    if modal.get("type") != "modal":
        raise BlockError("/view/type", "must be modal")
    _known(modal, "/view", {"type", "title", "blocks", "close", "submit", "private_metadata",
                            "callback_id", "clear_on_close", "notify_on_close", "external_id",
                            "submit_disabled"})  # fmt: skip
    _text(modal.get("title"), "/view/title", 24, plain=True)
    for name in ("close", "submit"):
        if name in modal:
            _text(modal[name], f"/view/{name}", 24, plain=True)
    _string(modal.get("private_metadata", ""), "/view/private_metadata", 3000, least=0)
    _string(modal.get("callback_id", "x"), "/view/callback_id", 255)
    validate_blocks(modal.get("blocks"), "/view/blocks", BLOCKS_IN_VIEW)
    if any(block["type"] == "input" for block in modal["blocks"]) and "submit" not in modal:
        raise BlockError("/view/submit", "is needed when there is an input")


def texts_of(node: object) -> int:
    """Characters of every text in blocks, for the limit of a whole message."""
    if isinstance(node, Mapping):
        return sum(
            length(value) if isinstance(value, str) and name == "text" else texts_of(value)
            for name, value in node.items()
        )
    if isinstance(node, Sequence) and not isinstance(node, str):
        return sum(texts_of(value) for value in node)
    return 0


# --- shapes --------------------------------------------------------------------------------------


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BlockError(path, "must be an object")
    return value


def _array(value: object, path: str, least: int, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise BlockError(path, "must be an array")
    if not least <= len(value) <= most:
        raise BlockError(path, f"must have {least} to {most} items, has {len(value)}")
    return value


def _string(value: object, path: str, most: int, least: int = 1) -> str:
    if not isinstance(value, str):
        raise BlockError(path, "must be a string")
    if not least <= length(value) <= most:
        raise BlockError(path, f"must have {least} to {most} characters, has {length(value)}")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        raise BlockError(path, "must not hold half a character")
    return value


def _known(node: Json, path: str, names: set[str]) -> None:
    if unknown := sorted(set(node) - names):
        raise BlockError(f"{path}/{unknown[0]}", "unknown field")


def _text(value: object, path: str, most: int, *, plain: bool = False) -> None:
    node = _object(value, path)
    kind = node.get("type")
    if kind not in ({"plain_text"} if plain else {"plain_text", "mrkdwn"}):
        raise BlockError(f"{path}/type", "must be plain_text" if plain else "must be a text type")
    _known(node, path, {"type", "text", "emoji" if kind == "plain_text" else "verbatim"})
    _string(node.get("text"), f"{path}/text", most)


def _confirm(value: object, path: str) -> None:
    node = _object(value, path)
    _known(node, path, {"title", "text", "confirm", "deny", "style"})
    for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        _text(node.get(name), f"{path}/{name}", most, plain=True)


def _option(value: object, path: str, *, plain: bool = True) -> None:
    node = _object(value, path)
    _known(node, path, {"text", "value", "description", "url"})
    _text(node.get("text"), f"{path}/text", 75, plain=plain)
    _string(node.get("value"), f"{path}/value", 150)
    if "description" in node:
        _text(node["description"], f"{path}/description", 75, plain=True)


# --- elements ------------------------------------------------------------------------------------

_COMMON = {"type", "action_id", "confirm", "focus_on_load"}


def _element(value: object, path: str, allowed: Mapping[str, Callable[[Json, str], None]]) -> None:
    node = _object(value, path)
    check = allowed.get(node.get("type", ""))
    if check is None:
        raise BlockError(f"{path}/type", f"unsupported type here: {node.get('type')}")
    if "action_id" in node:
        _string(node["action_id"], f"{path}/action_id", 255)
    if "confirm" in node:
        _confirm(node["confirm"], f"{path}/confirm")
    check(node, path)


def _button(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "text", "url", "value", "style", "accessibility_label"})
    _text(node.get("text"), f"{path}/text", 75, plain=True)
    if "value" in node:
        _string(node["value"], f"{path}/value", 2000)
    if "url" in node:
        url = _string(node["url"], f"{path}/url", 3000)
        if not url.startswith(("http://", "https://")):
            raise BlockError(f"{path}/url", "must be an http url")
    if node.get("style", "primary") not in {"primary", "danger"}:
        raise BlockError(f"{path}/style", "must be primary or danger")
    if "accessibility_label" in node:
        _string(node["accessibility_label"], f"{path}/accessibility_label", 75)


def _static_select(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "options", "option_groups", "initial_option", "placeholder"})
    if ("options" in node) == ("option_groups" in node):
        raise BlockError(path, "needs either options or option_groups")
    if "options" in node:
        for number, option in enumerate(_array(node["options"], f"{path}/options", 1, 100)):
            _option(option, f"{path}/options/{number}")
        if "initial_option" in node and node["initial_option"] not in node["options"]:
            raise BlockError(f"{path}/initial_option", "is not one of the options")
    else:
        for number, group in enumerate(
            _array(node["option_groups"], f"{path}/option_groups", 1, 100)
        ):
            place = f"{path}/option_groups/{number}"
            _text(group.get("label"), f"{place}/label", 75, plain=True)
            for at, option in enumerate(_array(group.get("options"), f"{place}/options", 1, 100)):
                _option(option, f"{place}/options/{at}")
    _placeholder(node, path)


def _placeholder(node: Json, path: str) -> None:
    if "placeholder" in node:
        _text(node["placeholder"], f"{path}/placeholder", 150, plain=True)


def _users_select(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "initial_user", "placeholder"})
    _placeholder(node, path)


def _external_select(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "initial_option", "placeholder", "min_query_length"})
    _placeholder(node, path)


def _overflow(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "options"})
    for number, option in enumerate(_array(node.get("options"), f"{path}/options", 1, 5)):
        _option(option, f"{path}/options/{number}")


def _choices(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "options", "initial_options", "initial_option"})
    for number, option in enumerate(_array(node.get("options"), f"{path}/options", 1, 10)):
        _option(option, f"{path}/options/{number}", plain=False)


def _picker(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "initial_date", "initial_time", "initial_date_time",
                        "placeholder", "timezone"})  # fmt: skip
    _placeholder(node, path)


def _input_text(node: Json, path: str) -> None:
    _known(node, path, {*_COMMON, "initial_value", "multiline", "min_length", "max_length",
                        "placeholder", "dispatch_action_config"})  # fmt: skip
    if not 0 <= node.get("min_length", 0) <= 3000 or not 1 <= node.get("max_length", 3000) <= 3000:
        raise BlockError(path, "min_length and max_length go up to 3000")
    _placeholder(node, path)


def _image(node: Json, path: str) -> None:
    _known(node, path, {"type", "image_url", "alt_text", "slack_file"})
    _string(node.get("image_url"), f"{path}/image_url", 3000)
    _string(node.get("alt_text"), f"{path}/alt_text", 2000)


_INTERACTIVE: dict[str, Callable[[Json, str], None]] = {
    "button": _button,
    "static_select": _static_select,
    "users_select": _users_select,
    "external_select": _external_select,
    "overflow": _overflow,
    "checkboxes": _choices,
    "radio_buttons": _choices,
    "datepicker": _picker,
    "timepicker": _picker,
    "datetimepicker": _picker,
}
_INPUTS = {
    **{name: check for name, check in _INTERACTIVE.items() if name not in {"button", "overflow"}},
    "plain_text_input": _input_text,
}


# --- blocks --------------------------------------------------------------------------------------


def _section(block: Json, path: str) -> None:
    _known(block, path, {"type", "block_id", "text", "fields", "accessory", "expand"})
    if "text" not in block and "fields" not in block:
        raise BlockError(path, "a section needs text or fields")
    if "text" in block:
        _text(block["text"], f"{path}/text", 3000)
    if "fields" in block:
        for number, field in enumerate(_array(block["fields"], f"{path}/fields", 1, 10)):
            _text(field, f"{path}/fields/{number}", 2000)
    if "accessory" in block:
        _element(block["accessory"], f"{path}/accessory", {**_INTERACTIVE, "image": _image})


def _header(block: Json, path: str) -> None:
    _known(block, path, {"type", "block_id", "text"})
    _text(block.get("text"), f"{path}/text", 150, plain=True)


def _actions(block: Json, path: str) -> None:
    _known(block, path, {"type", "block_id", "elements"})
    ids: set[str] = set()
    for number, element in enumerate(_array(block.get("elements"), f"{path}/elements", 1, 25)):
        place = f"{path}/elements/{number}"
        _element(element, place, _INTERACTIVE)
        if (action_id := element.get("action_id")) in ids:
            raise BlockError(f"{place}/action_id", "duplicate action_id in one block")
        ids.add(action_id)


def _context(block: Json, path: str) -> None:
    _known(block, path, {"type", "block_id", "elements"})
    for number, element in enumerate(_array(block.get("elements"), f"{path}/elements", 1, 10)):
        if isinstance(element, dict) and element.get("type") == "image":
            _image(element, f"{path}/elements/{number}")
        else:
            _text(element, f"{path}/elements/{number}", 3000)


def _input(block: Json, path: str) -> None:
    _known(block, path, {"type", "block_id", "label", "element", "hint", "optional",
                         "dispatch_action"})  # fmt: skip
    _text(block.get("label"), f"{path}/label", 2000, plain=True)
    if "hint" in block:
        _text(block["hint"], f"{path}/hint", 2000, plain=True)
    _element(block.get("element"), f"{path}/element", _INPUTS)


def _divider(block: Json, path: str) -> None:
    _known(block, path, {"type", "block_id"})


def _image_block(block: Json, path: str) -> None:
    _known(block, path, {"type", "block_id", "image_url", "alt_text", "title", "slack_file"})
    _string(block.get("image_url"), f"{path}/image_url", 3000)
    _string(block.get("alt_text"), f"{path}/alt_text", 2000)
    if "title" in block:
        _text(block["title"], f"{path}/title", 2000, plain=True)


_BLOCKS: dict[str, Callable[[Json, str], None]] = {
    "section": _section,
    "header": _header,
    "actions": _actions,
    "context": _context,
    "input": _input,
    "divider": _divider,
    "image": _image_block,
}
