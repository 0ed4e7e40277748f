"""What people do in Slack, read: payloads become values, and values become events of the catalogue.

Slack's documents are checked once, here. Nothing in this module asks a clock, store or network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import msgspec

from notifiers.slack.blocks import Action
from rules.decision import CaseRow, State
from rules.transitions import ACTIVE
from schemas.time import DAY, SECOND, Instant, iso

Json = dict[str, Any]

#: The `source` of every event that comes from Slack.
SOURCE = "/slack"
#: So far ahead a case can be put off from Slack; a slip of the date picker is no decision.
LONGEST = 366 * DAY

T = TypeVar("T")


class MalformedError(Exception):
    """A payload that is not what Slack documents; the message names the place, not the content."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who acts, as Slack knows them. A user id means nothing without its workspace."""

    team: str
    user: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was done, and where it is answered."""

    channel: str | None
    ts: str | None
    """Of the message that was clicked; None where there was none."""
    url: str | None
    """Slack's `response_url`: good for half an hour and five answers."""
    is_private: bool = False
    """Whether only the reader sees that message."""


@dataclass(frozen=True, slots=True)
class Click:
    """Somebody pressed a button."""

    account: Account
    place: Place
    action: Action
    value: str
    """The case id; for `ACKNOWLEDGE_ALL` the key of the bundle."""
    moment: str
    """Slack's `action_ts`. With the account it names this click, however often it arrives."""
    trigger_id: str
    message: Json | None
    """The message as Slack shows it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Somebody filled in a modal."""

    account: Account
    place: Place
    action: Action
    case_id: str
    moment: str
    """Of the click that opened the modal."""
    values: Mapping[str, str | int]
    """Name of a field to what was entered; what was left empty is not there."""


@dataclass(frozen=True, slots=True)
class Slash:
    """Somebody wrote `/detente ...`."""

    account: Account
    place: Place
    text: str
    trigger_id: str


Interaction = Click | Submission | Slash


# --- reading --------------------------------------------------------------------------------------

_UserId = Annotated[str, msgspec.Meta(pattern="^[UW][A-Z0-9]{2,20}$")]
_TeamId = Annotated[str, msgspec.Meta(pattern="^[TE][A-Z0-9]{2,20}$")]
_Stamp = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}\.[0-9]{1,9}$")]
_Token = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
_Url = Annotated[str, msgspec.Meta(pattern="^https?://", max_length=2_000)]
_Written = Annotated[str, msgspec.Meta(max_length=4_000)]


class _User(msgspec.Struct):
    id: _UserId
    team_id: _TeamId | None = None


class _Named(msgspec.Struct):
    id: str


class _Team(msgspec.Struct):
    id: _TeamId


class _Element(msgspec.Struct):
    action_id: str
    action_ts: _Stamp
    value: Annotated[str, msgspec.Meta(max_length=2_000)] | None = None


class _Container(msgspec.Struct):
    message_ts: _Stamp | None = None
    channel_id: str | None = None
    is_ephemeral: bool = False


class _View(msgspec.Struct):
    id: _Token
    callback_id: str
    private_metadata: str
    state: Json


class _Actions(msgspec.Struct, tag="block_actions"):
    user: _User
    actions: Annotated[list[_Element], msgspec.Meta(min_length=1)]
    trigger_id: _Token
    container: _Container
    team: _Team | None = None
    response_url: _Url | None = None
    message: Json | None = None


class _Submitted(msgspec.Struct, tag="view_submission"):
    user: _User
    view: _View
    team: _Team | None = None


class _Other(msgspec.Struct, tag="view_closed"):
    """A modal that was closed is nothing to act on."""


class _Command(msgspec.Struct):
    team_id: _TeamId
    user_id: _UserId
    channel_id: _Token
    trigger_id: _Token
    response_url: _Url
    text: _Written = ""


class Opened(msgspec.Struct):
    """What a modal carries from the click that opened it to its submission."""

    case: str
    moment: _Stamp
    channel: str | None
    ts: str | None
    url: str | None
    private: bool = False


def read_interaction(payload: object) -> Click | Submission | None:
    """A button or modal of ours; None for what asks nothing of us. Raises MalformedError."""
    found = _read(payload, _Actions | _Submitted | _Other)
    match found:
        case _Actions():
            return _click(found)
        case _Submitted():
            return _submission(found)
        case _:
            return None


def read_slash(fields: object) -> Slash:
    """A slash command. Raises MalformedError."""
    found = _read(fields, _Command)
    account = Account(found.team_id, found.user_id)
    place = Place(found.channel_id, None, found.response_url)
    return Slash(account, place, found.text, found.trigger_id)


def _read(document: object, type_: Any) -> Any:
    try:
        return msgspec.convert(document, type_)
    except msgspec.ValidationError as error:
        raise MalformedError(str(error)) from None


def _account(user: _User, team: _Team | None) -> Account:
    # In a channel shared between workspaces the user's own one is named beside the user.
    where = user.team_id or (team.id if team else None)
    if where is None:
        raise MalformedError("no team is named: `$.team`")
    return Account(where, user.id)


def _click(found: _Actions) -> Click | None:
    element = found.actions[0]
    if element.action_id not in set(Action) or element.action_id == Action.OPEN:
        return None
    if not element.value:
        raise MalformedError("a button without a value: `$.actions[0].value`")
    container = found.container
    return Click(
        _account(found.user, found.team),
        Place(container.channel_id, container.message_ts, found.response_url,
              container.is_ephemeral),
        Action(element.action_id),
        element.value,
        element.action_ts,
        found.trigger_id,
        found.message,
    )  # fmt: skip


def _submission(found: _Submitted) -> Submission | None:
    view = found.view
    if view.callback_id not in set(Action):
        return None
    try:
        opened = msgspec.json.decode(view.private_metadata, type=Opened)
    except msgspec.DecodeError:
        raise MalformedError("not our metadata: `$.view.private_metadata`") from None
    return Submission(
        _account(found.user, found.team),
        Place(opened.channel, opened.ts, opened.url, opened.private),
        Action(view.callback_id),
        opened.case,
        opened.moment,
        dict(_values(view.state.get("values"))),
    )


class _Entered(msgspec.Struct):
    value: _Written | None = None
    selected_date_time: int | None = None
    selected_option: dict[str, Any] | None = None


def _values(blocks: object) -> list[tuple[str, str | int]]:
    found: list[tuple[str, str | int]] = []
    for name, elements in _read(blocks, dict[str, dict[str, _Entered]]).items():
        for entered in elements.values():
            chosen = (entered.selected_option or {}).get("value")
            value = (entered.value or "").strip() or entered.selected_date_time or chosen
            if isinstance(value, str | int):
                found.append((name, value))
    return found


# --- events ---------------------------------------------------------------------------------------


class Field(StrEnum):
    """The fields of modals; each is the `block_id` of its input."""

    NOTE = "note"
    UNTIL = "until"
    TO = "to"
    ROOT_CAUSE = "root_cause"
    ACTION = "action"
    PREVENTION = "prevention"


_TYPES = {
    Action.ACKNOWLEDGE: "case.acknowledged",
    Action.ACKNOWLEDGE_ALL: "case.acknowledged",
    Action.TAKE_OVER: "case.acknowledged",
    Action.ESCALATE: "case.escalated",
    Action.SNOOZE: "case.snoozed",
    Action.ASSIGN: "case.assigned",
    Action.WAITING: "case.waiting",
    Action.COMMENT: "case.commented",
    Action.RESOLVE: "case.resolved",
}
#: Fields that a modal must come back with; for `case.commented` and the like the schema asks, too.
_REQUIRED = {
    Action.ESCALATE: (Field.NOTE,),
    Action.SNOOZE: (Field.UNTIL,),
    Action.ASSIGN: (Field.TO,),
    Action.COMMENT: (Field.NOTE,),
    Action.RESOLVE: (Field.ROOT_CAUSE,),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants done with one case."""

    name: str
    """Names this wish in Slack: one that arrives again has the same."""
    action: Action
    case_id: str
    actor: str
    """Key of the person in the directory."""
    detail: Mapping[str, Any]

    def event(self, case: CaseRow, now: Instant, more: Mapping[str, Any]) -> Json:
        """The CloudEvent. It is stamped with our own clock: Slack's may differ from it."""
        data: Json = {"case_id": case.case_id, "actor": self.actor}
        if case.partner_id:
            data["partner_id"] = case.partner_id
        return {
            "specversion": "1.0",
            "id": self.name,
            "source": SOURCE,
            "type": _TYPES[self.action],
            "time": iso(now),
            "data": {**data, **self.detail, **more},
        }


def name_of(account: Account, moment: str, case_id: str = "") -> str:
    """The id of the event that a click, modal or command becomes."""
    return ".".join(filter(None, (account.team, account.user, moment, case_id)))


def faults(submission: Submission, now: Instant) -> dict[str, str]:
    """What is wrong with a modal, by field; Slack shows it beside the field."""
    found: dict[str, str] = {
        field: "Please fill this in."
        for field in _REQUIRED.get(submission.action, ())
        if field not in submission.values
    }
    until = submission.values.get(Field.UNTIL)
    if isinstance(until, int) and until * SECOND <= now:
        found[Field.UNTIL] = "This has passed already; choose a later time."
    elif isinstance(until, int) and until * SECOND > now + LONGEST:
        found[Field.UNTIL] = "This is more than a year ahead; choose an earlier time."
    return found


def detail_of(submission: Submission) -> dict[str, Any]:
    """What an event says beside case and actor."""
    return {
        name: iso(value * SECOND) if isinstance(value, int) else value
        for name, value in submission.values.items()
        if name in set(Field)
    }


# --- what means something -------------------------------------------------------------------------


def why_not(action: Action, case: CaseRow) -> str | None:
    """Why something cannot be done with a case as it stands, as the end of a sentence, or None."""
    if case.state is State.WATCH:
        return "is only watched: nobody is asked to do anything about it"
    if case.state in ACTIVE or action is Action.COMMENT:
        return None
    if case.state is State.RETRACTED:
        return "was retracted: it was wrong, and there is nothing to do about it"
    return f"is {case.state} already"
