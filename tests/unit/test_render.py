"""Messages as text that stands alone, and on a terminal."""

import io
import unicodedata
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers import render
from notifiers.message import Asked, Entry, EntryKind, Message
from notifiers.notifier import Failed, Retry, Sent
from notifiers.terminal import TerminalNotifier
from schemas.directory import TerminalRoute, WebhookRoute
from schemas.time import to_instant

AT = to_instant(datetime.fromisoformat("2026-11-03T12:00:00+01:00"))
DUE = to_instant(datetime.fromisoformat("2026-11-03T14:00:00+01:00"))
ALERT = Entry(
    effect_id="e1", idempotency_key="k1", kind=EntryKind.ALERT, case_id="c4711", tier="management",
    partner="Nordlicht GmbH", partner_tier="strategic", subject="order PO-77",
    headline="Nordlicht GmbH, order PO-77: 52 h late", exposure="12,400.00 EUR",
    why=("delivered 52 h after the promise > 48 h", "8 of 40 units are missing"),
    at=AT, due=DUE, next="if nobody acknowledges it in time, it goes to executive", note=None,
    urgent=False,
)  # fmt: skip


def message(*entries: Entry, zone: str = "Europe/Berlin") -> Message:
    return Message("k1", "claire", "Claire Dubois", zone, AT, 1, entries)


def test_an_alert_says_who_what_how_much_why_until_when_and_what_to_do() -> None:
    assert render.text(message(ALERT)) == (
        "[ALERT management] Nordlicht GmbH, order PO-77: 52 h late\n"
        "  Who:       Nordlicht GmbH (strategic)\n"
        "  What:      order PO-77\n"
        "  How much:  12,400.00 EUR\n"
        "  Why:       delivered 52 h after the promise > 48 h\n"
        "             8 of 40 units are missing\n"
        "  Since:     Tue 3 Nov 2026 12:00 CET (Europe/Berlin)\n"
        "  Until:     Tue 3 Nov 2026 14:00 CET (Europe/Berlin)\n"
        "  Then:      if nobody acknowledges it in time, it goes to executive\n"
        "  To own it: detente ack c4711\n"
        "  Its story: detente explain c4711"
    )


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Europe/Berlin", "Tue 3 Nov 2026 14:00 CET (Europe/Berlin)"),
        ("America/New_York", "Tue 3 Nov 2026 08:00 EST (America/New_York)"),
        ("Asia/Dubai", "Tue 3 Nov 2026 17:00 +04 (Asia/Dubai)"),
        ("Pacific/Auckland", "Wed 4 Nov 2026 02:00 NZDT (Pacific/Auckland)"),
        ("UTC", "Tue 3 Nov 2026 13:00 UTC"),
    ],
)
def test_times_are_the_readers_own_and_name_their_zone(zone: str, shown: str) -> None:
    assert render.moment(DUE, zone) == shown
    assert f"Until:     {shown}" in render.text(message(ALERT, zone=zone))


def test_the_same_hour_twice_a_year_is_told_apart() -> None:
    first = to_instant(datetime.fromisoformat("2026-10-25T02:30:00+02:00"))
    second = to_instant(datetime.fromisoformat("2026-10-25T02:30:00+01:00"))
    assert render.moment(first, "Europe/Berlin").split()[5] == "CEST"
    assert render.moment(second, "Europe/Berlin").split()[5] == "CET"


@pytest.mark.parametrize(
    ("entry", "title"),
    [
        (
            replace(ALERT, kind=EntryKind.REMINDER, reminder=2, of_reminders=5),
            "[REMINDER 2 of 5 management] Nordlicht GmbH, order PO-77: 52 h late",
        ),
        (
            replace(ALERT, kind=EntryKind.NOTICE, urgent=True),
            "[URGENT FOR INFORMATION management] Nordlicht GmbH, order PO-77: 52 h late",
        ),
        (
            replace(ALERT, kind=EntryKind.UPDATE, headline="acknowledged by claire"),
            "[UPDATE management] Nordlicht GmbH: acknowledged by claire",
        ),
        (
            replace(ALERT, kind=EntryKind.RETRACTION, headline="the delivery was in time"),
            "[RETRACTED management] Nordlicht GmbH: the delivery was in time",
        ),
        (
            replace(ALERT, kind=EntryKind.OPERATIONS, tier="watch", partner="", headline="silent"),
            "[OPERATIONS] silent",
        ),
        (
            replace(ALERT, would_have_told=("Ada", "Bob"), headline="late"),
            "Would have told Ada and Bob: [ALERT management] Nordlicht GmbH: late",
        ),
    ],
)
def test_the_title_says_what_kind_of_message_it_is(entry: Entry, title: str) -> None:
    assert render.title(message(entry)) == title
    assert render.text(message(entry)).startswith(title)


@pytest.mark.parametrize("kind", [EntryKind.NOTICE, EntryKind.UPDATE, EntryKind.RETRACTION])
def test_only_what_wants_an_answer_asks_for_one(kind: EntryKind) -> None:
    text = render.text(message(replace(ALERT, kind=kind)))
    assert "To own it" not in text
    assert "Until" not in text


def test_who_is_asked_is_said_to_whoever_is_not() -> None:
    notice = replace(ALERT, kind=EntryKind.NOTICE, asked=Asked("executive", ("David Okafor",), DUE))
    line = "  Asked:     David Okafor (executive), until Tue 3 Nov 2026 14:00 CET (Europe/Berlin)"
    assert line in render.text(message(notice)).splitlines()
    nobody = replace(notice, asked=Asked("executive", (), DUE))
    assert "  Asked:     executive, until" in render.text(message(nobody))


def test_a_stand_in_reads_why_they_are_told() -> None:
    entry = replace(ALERT, on_behalf="you stand in for Ada Lovelace")
    assert "You read this because you stand in for Ada Lovelace." in render.text(message(entry))


def test_a_bundle_lists_its_entries() -> None:
    update = replace(
        ALERT, kind=EntryKind.UPDATE, case_id="c2", headline="resolved", exposure=None, note="done"
    )
    assert render.text(message(ALERT, update)) == (
        "1 case to acknowledge, 1 update\n"
        "- [ALERT management] Nordlicht GmbH, order PO-77: 52 h late (12,400.00 EUR)\n"
        "  until Tue 3 Nov 2026 14:00 CET (Europe/Berlin); detente ack c4711\n"
        "- [UPDATE management] Nordlicht GmbH: resolved\n"
        "  detente explain c2"
    )


def test_a_very_long_bundle_says_how_many_it_leaves_out() -> None:
    text = render.text(message(*[ALERT] * 500))
    assert text.startswith("500 cases to acknowledge\n")
    assert text.endswith("... and 450 more: `detente cases` lists them all.")
    assert text.count("detente ack") == 50


@given(st.text())
def test_no_value_can_forge_a_line_or_command_the_terminal(value: str) -> None:
    entry = replace(ALERT, partner=value, headline=value, subject=value, why=(value,), note=value)
    honest = replace(ALERT, partner="x", headline="x", subject="x", why=("x",), note="x")
    lines = render.text(message(entry)).split("\n")
    assert len(lines) <= len(render.text(message(honest)).split("\n"))
    shown = "".join(lines)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not {"\u202e", "\u2066", "\u200f"} & set(shown)


def test_a_message_about_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="k1 tells nothing"):
        message()


# --- the terminal -------------------------------------------------------------------------------


async def test_a_pipe_gets_plain_text() -> None:
    stream = io.StringIO()
    entry = replace(ALERT, headline="[bold]x[/bold] [/]", partner="\x1b[31mred")
    assert await TerminalNotifier(stream).send(message(entry), ROUTE) == Sent()
    head = "Tue 3 Nov 2026 12:00 CET (Europe/Berlin) to Claire Dubois"
    assert stream.getvalue() == f"{head}\n{render.text(message(entry))}\n"
    assert "[bold]x[/bold] [/]" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


async def test_a_terminal_that_is_gone_is_an_answer_and_no_error() -> None:
    closed = io.StringIO()
    closed.close()
    assert await TerminalNotifier(closed).send(message(ALERT), ROUTE) == Failed(
        "the terminal is closed"
    )

    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(28, "No space left on device")

    outcome = await TerminalNotifier(Full()).send(message(ALERT), ROUTE)
    assert outcome == Retry("the terminal took nothing: No space left on device")


async def test_a_terminal_takes_no_other_route() -> None:
    hook = WebhookRoute(kind="webhook", url="https://example.com", secret_env="S")
    outcome = await TerminalNotifier(io.StringIO()).send(message(ALERT), hook)
    assert outcome == Failed("a webhook route is not a terminal")


ROUTE = TerminalRoute(kind="terminal")
