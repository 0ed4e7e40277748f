"""Messages as plain text that stands alone: on a terminal, in a mail, as a fallback elsewhere.

Names and summaries come from partners' systems. Control characters, escape sequences and marks
that turn the writing direction are taken out, and each value stays on its line, so that no order
number can forge a line of a message.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from notifiers.message import Asked, Entry, EntryKind, Message
from schemas.policy import WATCH
from schemas.time import Instant, to_datetime

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip
#: A bundle shows so many entries; a mail with 500 is not read, `detente cases` lists the rest.
MOST_ENTRIES = 50


def plain(text: str) -> str:
    """`text` on one line, without control characters, escapes and direction marks."""
    return " ".join(
        "".join(
            character if unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
            # The joiner holds emoji and several scripts together and shows nothing by itself.
            or character in "\u200c\u200d"
            else " "
            for character in text
        ).split()
    )  # fmt: skip


def moment(at: Instant, zone: str) -> str:
    """A time in a zone that is named: `Tue 3 Nov 2026 14:00 CET (Europe/Berlin)`."""
    local = to_datetime(at, ZoneInfo(zone))
    day = f"{_WEEKDAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year}"
    short = local.tzname() or ""
    # Zones without letters of their own have +04 or the like, zones of one name have it twice.
    return f"{day} {local:%H:%M} {short} ({zone})" if short != zone else f"{day} {local:%H:%M} UTC"


def title(message: Message) -> str:
    """One line: the subject of a mail, the first line of a text."""
    if message.is_bundle:
        return f"{_prefix(message)}{counted(message)}"
    entry = message.entries[0]
    asked = "" if entry.kind is EntryKind.REPORT else f"{label(entry)} "
    return f"{_prefix(message)}{asked}{about(entry)}"


def text(message: Message) -> str:
    """The whole message, without a line break at its end."""
    report = message.entries[0].report
    if report is not None:
        return "\n".join((*remarks(message), report.text.rstrip()))
    lines = [title(message)]
    if message.is_bundle:
        for entry in message.entries[:MOST_ENTRIES]:
            lines += _short(entry, message.zone)
        if (more := len(message.entries) - MOST_ENTRIES) > 0:
            lines.append(f"... and {more} more: `detente cases` lists them all.")
    else:
        lines += _long(message.entries[0], message.zone)
    return "\n".join(lines)


def remarks(message: Message) -> Iterator[str]:
    """What a reader must know before a report: whose it is, if it is not their own."""
    if message.is_shadow:
        yield title(message)
    if on_behalf := message.entries[0].on_behalf:
        yield f"You read this because {plain(on_behalf)}."


def _prefix(message: Message) -> str:
    if not message.is_shadow:
        return ""
    names = " and ".join(plain(name) for name in message.would_have_told) or "nobody"
    return f"Would have told {names}: "


def label(entry: Entry) -> str:
    """What an entry asks, in brackets: `[URGENT ALERT management]`."""
    urgent = "URGENT " if entry.urgent else ""
    tier = "" if entry.tier == WATCH else f" {plain(entry.tier)}"
    match entry.kind:
        case EntryKind.ALERT:
            return f"[{urgent}ALERT{tier}]"
        case EntryKind.REMINDER:
            return f"[{urgent}REMINDER {entry.reminder} of {entry.of_reminders}{tier}]"
        case EntryKind.NOTICE:
            return f"[{urgent}FOR INFORMATION{tier}]"
        case EntryKind.UPDATE:
            return f"[UPDATE{tier}]"
        case EntryKind.RETRACTION:
            return f"[RETRACTED{tier}]"
        case EntryKind.OPERATIONS:
            return f"[{urgent}OPERATIONS]"
        case EntryKind.WARNING:
            return f"[WARNING{tier}]"
        case EntryKind.REPORT:
            return "[REPORT]"


def about(entry: Entry) -> str:
    """The partner and what happened, on one line."""
    partner, headline = plain(entry.partner), plain(entry.headline)
    if not partner or headline.startswith(partner):
        return headline
    return f"{partner}: {headline}" if headline else partner


_PLURALS = {
    EntryKind.ALERT: ("case to acknowledge", "cases to acknowledge"),
    EntryKind.REMINDER: ("case still to acknowledge", "cases still to acknowledge"),
    EntryKind.NOTICE: ("notice", "notices"),
    EntryKind.UPDATE: ("update", "updates"),
    EntryKind.RETRACTION: ("retraction", "retractions"),
    EntryKind.OPERATIONS: ("matter for operations", "matters for operations"),
    EntryKind.WARNING: ("warning about a promise", "warnings about promises"),
    EntryKind.REPORT: ("report", "reports"),
}


def counted(message: Message) -> str:
    """What is in a bundle: `3 cases to acknowledge, 1 update`."""
    counts = Counter(entry.kind for entry in message.entries)
    return ", ".join(
        f"{counts[kind]} {words[counts[kind] > 1]}" for kind, words in _PLURALS.items()
        if counts[kind]
    )  # fmt: skip


def _long(entry: Entry, zone: str) -> Iterator[str]:
    if entry.on_behalf:
        yield f"  You read this because {plain(entry.on_behalf)}."
    for name, value in facts(entry, zone):
        yield f"  {name and name + ':':<10} {value}"
    if entry.case_id:
        if asks(entry):
            yield f"  To own it: detente ack {entry.case_id}"
        yield f"  Its story: detente explain {entry.case_id}"


def facts(entry: Entry, zone: str) -> Iterator[tuple[str, str]]:
    """What an entry says, as labels and values; lines after the first of one label have none."""
    if entry.report_name is not None:
        kind, key = entry.report_name
        yield "Report", f"{plain(kind)} {plain(key)}: its content cannot be shown now"
    if entry.partner:
        tier = f" ({plain(entry.partner_tier)})" if entry.partner_tier else ""
        yield "Who", f"{plain(entry.partner)}{tier}"
    if entry.subject:
        yield "What", plain(entry.subject)
    if entry.exposure:
        yield "How much", plain(entry.exposure)
    if entry.joined:
        yield "Late", plain(entry.joined)
    is_list = entry.kind is EntryKind.REPORT  # its lines are what it lists, and no reasons
    for number, line in enumerate(entry.why):
        yield "" if number or is_list else "Why", plain(line)
    if not is_list:
        yield "Since", moment(entry.at, zone)
    if entry.due is not None and asks(entry):
        yield "Until", moment(entry.due, zone)
    if entry.asked is not None:
        yield "Asked", f"{asked_in_words(entry.asked)}, until {moment(entry.asked.until, zone)}"
    if entry.note:
        yield "Note", plain(entry.note)
    if entry.next:
        yield "Then", plain(entry.next)


def asked_in_words(asked: Asked) -> str:
    """`David Okafor (executive)`."""
    names = " and ".join(plain(name) for name in asked.names)
    return f"{names} ({plain(asked.tier)})" if names else plain(asked.tier)


def _short(entry: Entry, zone: str) -> Iterator[str]:
    exposure = f" ({plain(entry.exposure)})" if entry.exposure else ""
    yield f"- {label(entry)} {about(entry)}{exposure}"
    said = [plain(entry.on_behalf)] if entry.on_behalf else []
    if entry.due is not None and asks(entry):
        said.append(f"until {moment(entry.due, zone)}")
    if entry.case_id:
        said.append(f"detente {'ack' if asks(entry) else 'explain'} {entry.case_id}")
    if said:
        yield f"  {'; '.join(said)}"


def asks(entry: Entry) -> bool:
    """Whether its reader is to acknowledge something."""
    return entry.kind in {EntryKind.ALERT, EntryKind.REMINDER}
