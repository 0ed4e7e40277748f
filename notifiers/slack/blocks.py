"""Messages as Block Kit: who is affected, by how much, why, until when and what to do, at a glance.

A header stands on top; what belongs to it follows in an attachment, for the sake of its coloured
bar. Everything foreign goes through `mrkdwn`. A text stands beside the blocks, for notifications
and screen readers, and says the same without them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from notifiers.message import Asked, Entry, EntryKind, Message
from notifiers.render import about, asked_in_words, asks, counted, moment
from notifiers.render import remarks as remarks_of
from notifiers.report_message import RenderedReport
from notifiers.slack.mrkdwn import date, literal, size, value
from schemas.policy import WATCH

Json = dict[str, Any]

#: A bundle shows so many entries: what Slack takes in one message, and people in one glance.
MOST_ENTRIES = 20
#: Slack takes so many blocks in one message.
MOST_BLOCKS = 50
#: `chat.update` takes no text of more than 4,000 characters.
TEXT_LIMIT = 3_900


class Action(StrEnum):
    """The `action_id` of each button; its `value` is the case id, or the key of a bundle."""

    ACKNOWLEDGE = "detente_acknowledge"
    ESCALATE = "detente_escalate"
    SNOOZE = "detente_snooze"
    ASSIGN = "detente_assign"
    WAITING = "detente_waiting"
    RESOLVE = "detente_resolve"
    COMMENT = "detente_comment"
    TAKE_OVER = "detente_take_over"
    """Offered in private to whoever acknowledges what others were asked."""
    ACKNOWLEDGE_ALL = "detente_acknowledge_all"
    """Its value is the bundle's key: `Transaction.cases_of_bundle` names the cases."""
    OPEN = "detente_open"
    """A link: Slack reports the click, and nothing is to be done."""


_LABELS = {
    Action.ACKNOWLEDGE: "Acknowledge",
    Action.ESCALATE: "Escalate",
    Action.SNOOZE: "Snooze",
    Action.ASSIGN: "Assign",
    Action.WAITING: "Waiting on partner",
    Action.RESOLVE: "Resolve",
    Action.COMMENT: "Comment",
}
#: What can be done with a case in each state; in the others it is over.
_OFFERED = {
    "open": tuple(_LABELS),
    "acknowledged": tuple(a for a in _LABELS if a is not Action.ACKNOWLEDGE),
    "waiting on partner": (Action.ESCALATE, Action.ASSIGN, Action.RESOLVE, Action.COMMENT),
    "snoozed": tuple(a for a in _LABELS if a is not Action.SNOOZE),
}
#: State to the icon, colour and words that a message takes once nobody is waited for.
_SETTLED = {
    "acknowledged": ("🙋", "#1a73e8", "Acknowledged"),
    "waiting on partner": ("⏳", "#1a73e8", "Waiting on partner"),
    "snoozed": ("💤", "#1a73e8", "Snoozed"),
    "resolved": ("✅", "#188038", "Resolved"),
    "closed": ("✅", "#188038", "Closed"),
    "retracted": ("↩️", "#5f6368", "Retracted"),
}
_TIERS = {
    "executive": ("🔴", "#b3261e"),
    "management": ("🟠", "#e8710a"),
    "frontline": ("🟡", "#f2b705"),
}
_OTHER_TIER = ("⚪", "#5f6368")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What `chat.postMessage` and `chat.update` take."""

    text: str
    blocks: list[Json]
    attachments: list[Json]

    def arguments(self) -> Json:
        """As keyword arguments of slack-sdk."""
        return {"text": self.text, "blocks": self.blocks, "attachments": self.attachments}


def case_message(entry: Entry, message: Message, base_url: str | None = None) -> Rendered:
    """The one message about a case, as it stands with what `entry` tells.

    An update shows what the alert before it said, too: who, how much and why.
    """
    told = entry.alert or entry
    now = replace(told, state=entry.state, owner=entry.owner, tier=entry.tier, asked=entry.asked,
                  joined=entry.joined)  # fmt: skip
    if asks(entry) or entry.kind is EntryKind.RETRACTION:
        now = replace(now, kind=entry.kind, reminder=entry.reminder, next=entry.next,
                      of_reminders=entry.of_reminders, due=entry.due)  # fmt: skip
    elif entry.kind is EntryKind.NOTICE or entry.asked is not None:
        # What was asked here before is asked of others now.
        now = replace(now, kind=EntryKind.NOTICE, due=None, next=None)
    title, colour = _title(now), _look(now)[1]
    news = entry if entry.alert is not None else None
    fields = list(_fields(now, message.zone))
    body = [{"type": "section", "fields": fields}] if fields else []
    # The lines of a report are what it lists, and no reasons.
    body += _paragraph("" if told.kind is EntryKind.REPORT else "Why", told.why)
    if news is not None and news.kind is not EntryKind.REMINDER:
        body += _paragraph("Now", [_happened(news), *news.why])
    body += _paragraph("Note", [(news or now).note or ""])
    body += _paragraph("What next", _next(now))
    body += _actions(now, base_url)
    reader = message.name if asks(entry) or news is None else None
    if footer := _footer(now, reader):
        body.append(_context(footer))
    lines = (title, *_plain_facts(now, told, news, message))
    return _rendered(title, colour, body, lines)


def reply(entry: Entry, message: Message) -> Rendered:
    """What is new about a case, for the thread of its message."""
    title = _title(entry)
    lines = []
    if asks(entry) and entry.due is not None:
        lines.append(f"To be acknowledged until {date(entry.due, message.zone)}")
    if entry.asked is not None:
        lines.append(f"Asked now: {_asked(entry.asked, message.zone)}")
    lines += [f"• {value(line, 400)}" for line in entry.why[:10]]
    if entry.note:
        lines.append(f"Note: {value(entry.note, 1_000)}")
    if entry.next and asks(entry):
        lines.append(f"Then: {value(entry.next, 400)}")
    text = "\n".join((f"*{value(title, 500)}*", *lines))
    plain = (title, *_plain_facts(entry, entry, None, message))
    return Rendered(_fallback(plain), [_section(_within(text, 2_900))], [])


def bundle(message: Message, base_url: str | None = None) -> Rendered:
    """Several things in one message, each with its button, and one for all of them."""
    prefix = f"Would have told {_names(message.would_have_told)}: " if message.is_shadow else ""
    title = f"📦 {prefix}{counted(message)}"
    body = [_listed(entry, message.zone, base_url) for entry in message.entries[:MOST_ENTRIES]]
    more = len(message.entries) - MOST_ENTRIES
    if more > 0:
        body.append(_context([f"… and {more} more: `/detente mine` lists all that wait for you."]))
    asking = {e.case_id for e in message.entries if asks(e) and e.case_id}
    if len(asking) > 1 and not message.is_shadow:
        body.append({"type": "actions", "elements": [_acknowledge_all(message, len(asking))]})
    lines = [title, *(f"- {_title(e)}" for e in message.entries[:MOST_ENTRIES])]
    if more > 0:
        lines.append(f"… and {more} more")
    ranks = {tier: rank for rank, tier in enumerate(_TIERS)}
    first = min(message.entries, key=lambda entry: ranks.get(entry.tier, len(ranks)))
    return _rendered(title, _look(first)[1], body, lines)


def report_messages(message: Message, report: RenderedReport) -> list[Rendered]:
    """A report as one message and, where it is long, what follows in its thread."""
    title = _title(message.entries[0])
    remarks = [value(remark, 1_000) for remark in remarks_of(message)]
    first, *others = map(list, report.messages)
    pages = [[*([_context(remarks)] if remarks else []), *first], *others]
    texts = [_fallback((title, *report.text.splitlines()))]
    texts += [_fallback([f"{title} ({n} of {len(pages)})"]) for n in range(2, len(pages) + 1)]
    return [Rendered(text, page, []) for text, page in zip(texts, pages, strict=True)]


# --- the parts of one case ------------------------------------------------------------------------


def _look(entry: Entry) -> tuple[str, str]:
    """Icon and colour."""
    if entry.kind is EntryKind.RETRACTION:
        return _SETTLED["retracted"][:2]
    if entry.kind is EntryKind.OPERATIONS:
        return "🛠️", "#8430ce"
    if entry.kind is EntryKind.REPORT:
        return "📊", "#1a73e8"
    if entry.kind is EntryKind.WARNING:
        return "⏰", "#f2b705"
    if entry.state in _SETTLED:
        return _SETTLED[entry.state][:2]
    return _TIERS.get(entry.tier, _OTHER_TIER)


def _title(entry: Entry) -> str:
    icon, _ = _look(entry)
    asked = "" if entry.kind is EntryKind.REPORT else f"{_label(entry)}: "
    return f"{icon} {_shadow(entry)}{asked}{about(entry)}"


def _label(entry: Entry) -> str:
    urgent = "Urgent: " if entry.urgent else ""
    tier = "" if entry.tier == WATCH else entry.tier
    if entry.kind is EntryKind.RETRACTION:
        return "Retracted"
    if entry.state in _SETTLED:
        return _SETTLED[entry.state][2]
    match entry.kind:
        case EntryKind.ALERT:
            return f"{urgent}{tier.capitalize()} alert"
        case EntryKind.REMINDER:
            which = f"{entry.reminder} of {entry.of_reminders}"
            return f"{urgent}Reminder {which}, {tier}".removesuffix(", ")
        case EntryKind.NOTICE:
            return f"{urgent}For information, {tier}".removesuffix(", ")
        case EntryKind.UPDATE:
            return "Update"
        case EntryKind.OPERATIONS:
            return f"{urgent}Operations"
        case EntryKind.WARNING:
            return f"Warning, {tier}".removesuffix(", ")
        case EntryKind.REPORT:
            return "Report"


def _fields(entry: Entry, zone: str) -> Iterator[Json]:
    if entry.partner:
        yield _field("Who", f"{value(entry.partner, 300)}{_partner_tier(entry)}")
    if entry.subject:
        yield _field("What", value(entry.subject, 300))
    if entry.report_name is not None:
        name = " ".join(entry.report_name)
        yield _field("Report", f"{value(name, 200)}: its content cannot be shown now")
    if entry.exposure:
        yield _field("How much", value(entry.exposure, 300))
    if entry.due is not None and _waits(entry):
        yield _field("Acknowledge until", date(entry.due, zone))
    if entry.asked is not None:
        yield _field("Asked now", _asked(entry.asked, zone))
    if entry.joined:
        yield _field("Late under it", value(entry.joined, 300))
    if entry.kind is not EntryKind.REPORT:
        yield _field("Since", date(entry.at, zone))
    if entry.owner:
        yield _field("Owner", value(entry.owner, 300))
    if entry.state:
        yield _field("Status", value(entry.state.capitalize(), 300))


def _asked(asked: Asked, zone: str) -> str:
    return f"{value(asked_in_words(asked), 300)}, until {date(asked.until, zone)}"


def _waits(entry: Entry) -> bool:
    """Whether an acknowledgement is still owed."""
    return asks(entry) and entry.state in {None, "open"}


def _partner_tier(entry: Entry) -> str:
    if not entry.partner_tier:
        return ""
    star = "★ " if entry.partner_tier == "strategic" else ""
    return f" ({star}{value(entry.partner_tier, 100)} partner)"


def _happened(entry: Entry) -> str:
    return about(entry).removeprefix(entry.partner).lstrip(", :")


def _next(entry: Entry) -> list[str]:
    if entry.kind is EntryKind.RETRACTION or entry.state == "retracted":
        return ["Nothing: it was wrong. The history stays."]
    lines = ["Acknowledge it: then it is yours."] if _waits(entry) and entry.case_id else []
    if entry.next and _waits(entry):
        lines.append(f"{entry.next[:1].upper()}{entry.next[1:]}.")
    return lines


def _actions(entry: Entry, base_url: str | None) -> list[Json]:
    if entry.case_id is None:
        return []
    elements = []
    # Shadow mode tells only what would have been told: it changes nothing, and asks for nothing.
    is_over = entry.kind is EntryKind.RETRACTION or entry.would_have_told is not None
    for action in () if is_over else _OFFERED.get(entry.state or "", ()):
        style = {"style": "primary"} if action is Action.ACKNOWLEDGE else {}
        elements.append(_button(action, _LABELS[action], entry.case_id) | style)
    if base_url:
        elements.append(_link(entry.case_id, base_url))
    return [{"type": "actions", "elements": elements}] if elements else []


def _footer(entry: Entry, reader: str | None) -> list[str]:
    found = [f"For {value(reader, 200)}"] if reader else []
    if reader and entry.on_behalf:
        found.append(f"because {value(entry.on_behalf, 300)}")
    if entry.case_id:
        found.append(f"`/detente case {value(entry.case_id, 100)}` tells its story")
    return found


def _plain_facts(entry: Entry, told: Entry, news: Entry | None, message: Message) -> Iterator[str]:
    if entry.partner_tier:
        yield f"Partner: {entry.partner} ({entry.partner_tier})"
    if entry.exposure:
        yield f"How much: {entry.exposure}"
    if entry.joined:
        yield f"Late under it: {entry.joined}"
    if told.kind is EntryKind.REPORT:
        yield from told.why
    elif told.why:
        yield f"Why: {'; '.join(told.why)}"
    if entry.due is not None and _waits(entry):
        yield f"Acknowledge until {moment(entry.due, message.zone)}"
    if entry.asked is not None:
        until = moment(entry.asked.until, message.zone)
        yield f"Asked now: {asked_in_words(entry.asked)}, until {until}"
    if news is not None:
        yield f"Now: {_happened(news)}"
    if note := (news or entry).note:
        yield f"Note: {note}"
    yield from _next(entry)


# --- the parts of a bundle ------------------------------------------------------------------------


def _listed(entry: Entry, zone: str, base_url: str | None) -> Json:
    amount = f" ({value(entry.exposure, 60)})" if entry.exposure else ""
    facts = []
    if entry.due is not None and _waits(entry):
        facts.append(f"until {date(entry.due, zone)}")
    facts += [value(line, 120) for line in entry.why[:1]]
    lines = f"*{value(_title(entry), 250)}*{amount}\n{' · '.join(facts)}".rstrip()
    block = _section(lines)
    shadow = entry.would_have_told is not None
    if entry.case_id and asks(entry) and not shadow:
        block["accessory"] = _button(Action.ACKNOWLEDGE, "Acknowledge", entry.case_id)
    elif entry.case_id and base_url:
        block["accessory"] = _link(entry.case_id, base_url)
    return block


def _acknowledge_all(message: Message, number: int) -> Json:
    label = f"Acknowledge all {number}"
    confirm = {
        "title": _plain("Acknowledge all"),
        "text": _plain(f"You then own {number} cases."),
        "confirm": _plain("Acknowledge"),
        "deny": _plain("Not now"),
    }
    button = _button(Action.ACKNOWLEDGE_ALL, label, message.idempotency_key)
    return button | {"style": "primary", "confirm": confirm}


def _shadow(entry: Entry) -> str:
    if entry.would_have_told is None:
        return ""
    return f"Would have told {_names(entry.would_have_told)}: "


def _names(names: Sequence[str]) -> str:
    return " and ".join(names) or "nobody"


# --- building blocks ------------------------------------------------------------------------------


def _rendered(title: str, colour: str, body: list[Json], lines: Sequence[str]) -> Rendered:
    head = {"type": "header", "text": _plain(title, 150)}
    attachment = {"color": colour, "fallback": literal(title, 300), "blocks": body}
    return Rendered(_fallback(lines), [head], [attachment])


def _fallback(lines: Sequence[str]) -> str:
    # A text of the message is read as mrkdwn, too, wherever Slack shows it.
    return _within("\n".join(value(line, 1_000) for line in lines), TEXT_LIMIT)


def _paragraph(name: str, lines: Sequence[str]) -> list[Json]:
    shown = [value(line, 500) for line in lines[:12] if line]
    if len(lines) > 12:
        shown.append("…")
    if not shown:
        return []
    text = "\n".join(f"• {line}" for line in shown) if len(shown) > 1 else shown[0]
    return [_section(_within(f"*{name}*\n{text}" if name else text, 2_900))]


def _within(text: str, limit: int) -> str:
    """Whole lines of a text, as many as `limit` characters hold."""
    kept: list[str] = []
    room = limit - len("\n…")
    for line in text.split("\n"):
        room -= size(line) + 1
        if room < 0:
            return "\n".join([*kept, "…"])
        kept.append(line)
    return "\n".join(kept)


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _field(name: str, shown: str) -> Json:
    return {"type": "mrkdwn", "text": f"*{name}*\n{shown}", "verbatim": True}


def _context(texts: Sequence[str]) -> Json:
    elements = [{"type": "mrkdwn", "text": text, "verbatim": True} for text in texts]
    return {"type": "context", "elements": elements}


def _plain(text: str, limit: int = 75) -> Json:
    return {"type": "plain_text", "text": literal(text, limit), "emoji": False}


def _button(action: Action, label: str, target: str) -> Json:
    return {"type": "button", "action_id": action.value, "text": _plain(label), "value": target}


def _link(case_id: str, base_url: str) -> Json:
    url = f"{base_url.rstrip('/')}/cases/{quote(case_id, safe='')}"
    return {"type": "button", "action_id": Action.OPEN.value, "text": _plain("Open"), "url": url}
