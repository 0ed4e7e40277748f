"""The modals in which people say why, until when, to whom and what was done. Pure."""

from collections.abc import Sequence

import msgspec

from notifiers.render import plain
from notifiers.slack.blocks import Action
from notifiers.slack.mrkdwn import literal, value
from streams.slack.actions import Field, Json, Opened

#: Slack takes so many options in one menu, or so many groups of so many.
_OPTIONS = 100
_LONGEST_VALUE = 150


def modal(action: Action, headline: str, opened: Opened, people: Sequence[tuple[str, str]]) -> Json:
    """The view for `views.open`. `people` are ids and names to choose from, the nearest first.

    Raises KeyError for an action that needs no modal.
    """
    title, submit, inputs = _FORMS[action]
    about: Json = {
        "type": "section",
        "text": {
            "type": "mrkdwn",
            "text": f"*{value(headline, 2_000)}*\n{value(opened.case, 200)}",
            "verbatim": True,
        },
    }
    blocks = [about, *(_person(people) if one is None else one for one in inputs)]
    return {
        "type": "modal",
        "callback_id": action.value,
        "private_metadata": msgspec.json.encode(opened).decode(),
        "title": _plain(title, 24),
        "submit": _plain(submit, 24),
        "close": _plain("Cancel", 24),
        "blocks": blocks,
    }


def _plain(text: str, limit: int = 75) -> Json:
    return {"type": "plain_text", "text": literal(text, limit), "emoji": False}


def _input(field: Field, label: str, element: Json, hint: str = "", *, optional: bool) -> Json:
    block: Json = {
        "type": "input",
        "block_id": field.value,
        "label": _plain(label, 200),
        "element": {"action_id": field.value, **element},
        "optional": optional,
    }
    return block | ({"hint": _plain(hint, 300)} if hint else {})


def _text(
    field: Field, label: str, hint: str = "", *, optional: bool = False, most: int = 2_000
) -> Json:
    element = {"type": "plain_text_input", "multiline": True, "max_length": most}
    return _input(field, label, element, hint, optional=optional)


def _until(label: str, hint: str = "", *, optional: bool = False) -> Json:
    return _input(Field.UNTIL, label, {"type": "datetimepicker"}, hint, optional=optional)


def _person(people: Sequence[tuple[str, str]]) -> Json:
    options = [
        # A name may show nothing at all, and Slack refuses a form with an empty line.
        {"text": _plain(plain(name) or key), "value": key}
        for key, name in people
        if len(key) <= _LONGEST_VALUE
    ]
    menu: Json = {"type": "static_select", "placeholder": _plain("Choose a person")}
    if len(options) <= _OPTIONS:
        menu["options"] = options
    else:
        pieces = [options[at : at + _OPTIONS] for at in range(0, len(options), _OPTIONS)]
        menu["option_groups"] = [
            {"label": _plain(f"{n * _OPTIONS + 1} to {n * _OPTIONS + len(piece)}"),
             "options": piece}
            for n, piece in enumerate(pieces[:_OPTIONS])
        ]  # fmt: skip
    return _input(Field.TO, "New owner", menu, optional=False)


_REMARK = _text(Field.NOTE, "Remark", optional=True)
_FORMS: dict[Action, tuple[str, str, tuple[Json | None, ...]]] = {
    Action.ESCALATE: (
        "Escalate",
        "Escalate",
        (_text(Field.NOTE, "Why?", "It goes to the next tier, with your words."),),
    ),
    Action.SNOOZE: (
        "Snooze",
        "Snooze",
        (_until("Until when?", "Then it comes back to whoever it was with."), _REMARK),
    ),
    Action.ASSIGN: ("Assign", "Assign", (None, _REMARK)),
    Action.WAITING: (
        "Waiting on partner",
        "Wait",
        (
            _until("Until when at most?", "A reply of the partner ends it earlier.", optional=True),
            _REMARK,
        ),
    ),
    Action.COMMENT: ("Comment", "Comment", (_text(Field.NOTE, "What do you want to say?"),)),
    Action.RESOLVE: (
        "Resolve",
        "Resolve",
        (
            _text(Field.ROOT_CAUSE, "Root cause", "Reports and patterns learn from it.", most=400),
            _text(Field.ACTION, "What was done?", optional=True),
            _text(Field.PREVENTION, "What keeps it from happening again?", optional=True),
        ),
    ),
}
"""`None` stands for the menu of people."""

#: What opens a modal; everything else is done at once.
WITH_MODAL = frozenset(_FORMS)
