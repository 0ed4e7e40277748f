"""Messages as Block Kit: what readers see, in every state, within what Slack takes."""

import re
import unicodedata
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.message import Asked, Entry, EntryKind, Message
from notifiers.slack.blocks import Action, Rendered, bundle, case_message, reply
from notifiers.slack.mrkdwn import clusters, cut, literal, size, value
from schemas.time import HOUR, SECOND, Instant, to_instant
from tests.fakes.slack import validate_blocks
from tests.fakes.slack.limits import ALL_TEXT, texts_of

AT = to_instant(datetime.fromisoformat("2026-11-03T12:00:00+01:00"))
DUE = Instant(AT + 2 * HOUR)
ALERT = Entry(
    effect_id="e1", idempotency_key="k1", kind=EntryKind.ALERT, case_id="c4711",
    tier="management", partner="Nordlicht GmbH", partner_tier="strategic",
    subject="order PO_77_A", headline="Nordlicht GmbH, order PO_77_A: 52 h late",
    exposure="12,400.00 EUR",
    why=("delivered 52 h after the promise > 48 h", "8 of 40 units are missing"),
    at=AT, due=DUE, next="if nobody acknowledges it in time, it goes to executive", note=None,
    urgent=False, state="open",
)  # fmt: skip
OWNED = replace(
    ALERT, kind=EntryKind.UPDATE, effect_id="e2", state="acknowledged", owner="Claire Dubois",
    headline="Nordlicht GmbH, order PO_77_A: acknowledged by claire", why=(), due=None, next=None,
    earlier=("C1/1.1",), alert=ALERT, note="I call them",
)  # fmt: skip
RETRACTED = replace(
    OWNED, kind=EntryKind.RETRACTION, state="retracted", note=None,
    why=("delivery D-1 came in time",), headline="Nordlicht GmbH, order PO_77_A: retracted",
)  # fmt: skip


def message(*entries: Entry) -> Message:
    return Message("k1", "claire", "Claire Dubois", "Europe/Berlin", AT, 1, entries)


def shown(rendered: Rendered) -> str:
    def texts(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["text"]] if isinstance(node.get("text"), str) else []
            return own + [t for v in node.values() for t in texts(v)]
        return [t for v in node for t in texts(v)] if isinstance(node, list) else []

    return "\n".join(texts([rendered.blocks, rendered.attachments]))


def buttons(rendered: Rendered) -> dict[str, dict[str, Any]]:
    blocks = rendered.blocks + [b for a in rendered.attachments for b in a["blocks"]]
    found = [e for b in blocks for e in (*b.get("elements", ()), b.get("accessory") or {})]
    return {e["action_id"]: e for e in found if "action_id" in e}


def validate(rendered: Rendered) -> None:
    validate_blocks(rendered.blocks)
    for attachment in rendered.attachments:
        validate_blocks(attachment["blocks"])
    assert texts_of([rendered.blocks, rendered.attachments]) <= ALL_TEXT
    assert 0 < size(rendered.text) <= 4_000


def rendered(entry: Entry, base_url: str | None = None) -> Rendered:
    found = case_message(entry, message(entry), base_url)
    validate(found)
    return found


def test_an_alert_says_who_what_how_much_why_until_when_and_what_to_do() -> None:
    found = rendered(ALERT)
    assert shown(found) == (
        "🟠 Management alert: Nordlicht GmbH, order PO_77_A: 52 h late\n"
        "*Who*\nNordlicht GmbH (★ strategic partner)\n"
        "*What*\norder PO_77_A\n"
        "*How much*\n12,400.00 EUR\n"
        "*Acknowledge until*\n<!date^1793710800^{date_short_pretty} {time}|"
        "Tue 3 Nov 2026 14:00 CET (Europe/Berlin)>\n"
        "*Since*\n<!date^1793703600^{date_short_pretty} {time}|"
        "Tue 3 Nov 2026 12:00 CET (Europe/Berlin)>\n"
        "*Status*\nOpen\n"
        "*Why*\n• delivered 52 h after the promise &gt; 48 h\n• 8 of 40 units are missing\n"
        "*What next*\n• Acknowledge it: then it is yours.\n"
        "• If nobody acknowledges it in time, it goes to executive.\n"
        "Acknowledge\nEscalate\nSnooze\nAssign\nWaiting on partner\nResolve\nComment\n"
        "For Claire Dubois\n`/detente case c4711` tells its story"
    )
    assert found.text == (
        "🟠 Management alert: Nordlicht GmbH, order PO_77_A: 52 h late\n"
        "Partner: Nordlicht GmbH (strategic)\n"
        "How much: 12,400.00 EUR\n"
        "Why: delivered 52 h after the promise &gt; 48 h; 8 of 40 units are missing\n"
        "Acknowledge until Tue 3 Nov 2026 14:00 CET (Europe/Berlin)\n"
        "Acknowledge it: then it is yours.\n"
        "If nobody acknowledges it in time, it goes to executive."
    )


def test_buttons_name_the_action_and_carry_the_case() -> None:
    found = buttons(rendered(ALERT))
    assert list(found) == [
        "detente_acknowledge", "detente_escalate", "detente_snooze", "detente_assign",
        "detente_waiting", "detente_resolve", "detente_comment",
    ]  # fmt: skip
    assert {button["value"] for button in found.values()} == {"c4711"}
    assert found[Action.ACKNOWLEDGE]["style"] == "primary"


@pytest.mark.parametrize(
    ("state", "title", "offered"),
    [
        ("acknowledged", "🙋 Acknowledged: ", "escalate snooze assign waiting resolve comment"),
        ("waiting on partner", "⏳ Waiting on partner: ", "escalate assign resolve comment"),
        ("snoozed", "💤 Snoozed: ", "acknowledge escalate assign waiting resolve comment"),
        ("resolved", "✅ Resolved: ", ""),
        ("closed", "✅ Closed: ", ""),
        ("retracted", "↩️ Retracted: ", ""),
        (None, "🟠 Management alert: ", ""),
    ],
)
def test_a_message_shows_where_the_case_stands_and_what_can_still_be_done(
    state: str | None, title: str, offered: str
) -> None:
    found = rendered(replace(OWNED, state=state))
    assert found.blocks[0]["text"]["text"].startswith(title)
    assert [name.removeprefix("detente_") for name in buttons(found)] == offered.split()
    if state is not None:
        assert "Acknowledge until" not in shown(found)


def test_an_update_keeps_what_the_alert_said() -> None:
    text = shown(rendered(OWNED))
    for part in ("*Owner*\nClaire Dubois", "8 of 40 units", "12,400.00 EUR", "I call them",
                 "*Now*\norder PO_77_A: acknowledged by claire"):  # fmt: skip
        assert part in text


def test_a_retraction_says_that_it_was_wrong_and_why() -> None:
    found = rendered(RETRACTED)
    assert found.blocks[0]["text"]["text"].startswith("↩️ Retracted: Nordlicht GmbH")
    assert "delivery D-1 came in time" in shown(found)
    assert "Nothing: it was wrong. The history stays." in shown(found)
    assert buttons(found) == {}


def test_tiers_and_states_have_a_colour_of_their_own() -> None:
    colours = [
        rendered(entry).attachments[0]["color"]
        for entry in (*(replace(ALERT, tier=t) for t in ("frontline", "management", "executive")),
                      OWNED, replace(OWNED, state="resolved"), RETRACTED)
    ]  # fmt: skip
    assert len(set(colours)) == 6
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in colours)


def test_a_reminder_counts_and_still_shows_the_due_time() -> None:
    reminder = replace(ALERT, kind=EntryKind.REMINDER, reminder=2, of_reminders=5)
    assert (
        rendered(reminder)
        .blocks[0]["text"]["text"]
        .startswith("🟠 Reminder 2 of 5, management: Nordlicht")
    )
    said = reply(reminder, message(reminder))
    validate(said)
    assert "To be acknowledged until <!date^" in shown(said)


LATER = Instant(DUE + HOUR)
ASKED = Asked("executive", ("David Okafor",), LATER)
ESCALATED = replace(
    ALERT, kind=EntryKind.NOTICE, effect_id="e3", due=None, next=None, why=("not acknowledged",),
    headline="Nordlicht GmbH, order PO_77_A: escalated to executive", earlier=("C1/1.1",),
    alert=ALERT, asked=ASKED,
)  # fmt: skip


def test_after_an_escalation_the_lower_tier_reads_who_is_asked_now() -> None:
    found = rendered(ESCALATED)
    for text in (shown(found), found.text):
        assert "Acknowledge until" not in text
        assert "David Okafor (executive)" in text
        assert "it goes to executive" not in text
        assert "52 h late" in text
        assert "escalated to executive" in text
    assert f"<!date^{LATER // SECOND}^" in shown(found)
    assert f"<!date^{DUE // SECOND}^" not in shown(found)
    assert shown(found).startswith("🟠 For information, management: ")
    assert "Asked now: " in shown(reply(ESCALATED, message(ESCALATED)))


def test_a_change_elsewhere_leaves_a_tier_asked_that_is_asked_still() -> None:
    update = replace(OWNED, state="open", owner=None)
    assert f"*Acknowledge until*\n<!date^{DUE // SECOND}^" in shown(rendered(update))


def test_a_tier_that_is_asked_again_reads_the_new_time() -> None:
    again = replace(ALERT, effect_id="e4", due=LATER, earlier=("C1/1.1",), alert=ALERT)
    assert f"*Acknowledge until*\n<!date^{LATER // SECOND}^" in shown(rendered(again))
    assert f"<!date^{DUE // SECOND}^" not in shown(rendered(again))
    raised_and_lowered = replace(OWNED, state="open", owner=None, asked=ASKED)
    assert "Acknowledge until" not in shown(rendered(raised_and_lowered))


def test_shadow_mode_says_who_would_have_been_told_and_asks_nothing() -> None:
    entry = replace(ALERT, would_have_told=("Claire Dubois", "David Okafor"))
    found = rendered(entry)
    assert found.blocks[0]["text"]["text"].startswith(
        "🟠 Would have told Claire Dubois and David Okafor: Management alert: "
    )
    assert found.text.startswith("🟠 Would have told Claire Dubois and David Okafor: ")
    assert buttons(found) == {}
    together = bundle(message(entry, entry))
    validate(together)
    assert together.blocks[0]["text"]["text"] == (
        "📦 Would have told Claire Dubois and David Okafor: 2 cases to acknowledge"
    )
    assert buttons(together) == {}


def test_a_case_has_a_link_where_pages_are_served() -> None:
    link = buttons(rendered(replace(ALERT, case_id="a/b"), "https://detente.example.com/"))
    assert link[Action.OPEN]["url"] == "https://detente.example.com/cases/a%2Fb"
    assert Action.OPEN not in buttons(rendered(ALERT))


def test_whoever_reads_for_somebody_else_is_told_why() -> None:
    entry = replace(ALERT, on_behalf="you stand in for Ada Lovelace")
    assert "For Claire Dubois\nbecause you stand in for Ada Lovelace" in shown(rendered(entry))


def test_what_is_about_no_case_has_no_buttons() -> None:
    entry = replace(ALERT, kind=EntryKind.OPERATIONS, case_id=None, partner="", partner_tier=None,
                    tier="watch", state=None, headline="feed /erp is silent", due=None)  # fmt: skip
    found = rendered(entry, "https://detente.example.com")
    assert found.blocks[0]["text"]["text"] == "🛠️ Operations: feed /erp is silent"
    assert buttons(found) == {}


def test_a_daily_list_is_a_list_and_gives_no_reasons() -> None:
    listed = ("new: Nordlicht GmbH, order PO-1: 3 h late (C-1)", "Acme, order PO-2 (C-2)")
    summary = replace(
        ALERT, kind=EntryKind.REPORT, case_id=None, tier="watch", partner="", partner_tier=None,
        subject="what is below the tiers", headline="On watch: 1 new, 1 from before",
        exposure=None, why=listed, due=None, next=None, state=None,
    )  # fmt: skip
    found = rendered(summary)
    assert shown(found).splitlines() == [
        "📊 On watch: 1 new, 1 from before", "*What*", "what is below the tiers",
        *(f"• {line}" for line in listed), "For Claire Dubois",
    ]  # fmt: skip
    assert found.text.splitlines() == ["📊 On watch: 1 new, 1 from before", *listed]
    bare = rendered(replace(summary, subject=""))
    assert "What" not in shown(bare)


def test_a_bundle_lists_cases_and_offers_all_of_them_at_once() -> None:
    entries = [replace(ALERT, case_id=f"c{n}", idempotency_key=f"k{n}") for n in range(30)]
    found = bundle(replace(message(*entries), idempotency_key="bundle-1"), "https://d.example.com")
    validate(found)
    assert found.blocks[0]["text"]["text"] == "📦 30 cases to acknowledge"
    everything = buttons(found)[Action.ACKNOWLEDGE_ALL]
    assert (everything["value"], everything["text"]["text"]) == ("bundle-1", "Acknowledge all 30")
    assert "… and 10 more" in shown(found)
    accessories = [b["accessory"]["value"] for b in found.attachments[0]["blocks"]
                   if "accessory" in b]  # fmt: skip
    assert accessories == [f"c{n}" for n in range(20)]


def test_a_bundle_of_updates_asks_nothing() -> None:
    found = bundle(message(OWNED, RETRACTED))
    validate(found)
    assert buttons(found) == {}


# --- foreign text ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "shown_as"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U0CLAIRE> & <https://evil.example|click>",
         "&lt;@U0CLAIRE&gt; &amp; &lt;https://evil.example|click&gt;"),
        ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
        ("*bold* _slanted_ ~gone~ `code`", "∗bold∗ ＿slanted＿ ∼gone∼ ˋcodeˋ"),  # noqa: RUF001
        ("PO_77_A", "PO_77_A"),
        ("two\nlines\x1b[31m", "two lines [31m"),
        ("مورد", "\u2068مورد\u2069"),
        ("\u202eevil\u202c", "evil"),
    ],
)  # fmt: skip
def test_foreign_text_pings_nobody_and_formats_nothing(said: str, shown_as: str) -> None:
    assert value(said, 100) == shown_as


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("ab defg", 4, "ab…"),
        ("👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 13, "👩‍👩‍👧‍👦…"),
        ("👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 11, "…"),
        ("👍🏽👍🏽👍🏽", 9, "👍🏽👍🏽…"),
        ("🇩🇪🇫🇷🇪🇸", 9, "🇩🇪🇫🇷…"),
        ("e\u0301e\u0301e\u0301", 5, "e\u0301e\u0301…"),
        ("\u1112\u1161\u11ab\u1112\u1161\u11ab", 5, "\u1112\u1161\u11ab…"),
        ("क्षक्षक्ष", 7, "क्षक्ष…"),
    ],
)
def test_a_long_text_is_cut_between_what_readers_see_as_characters(
    text: str, limit: int, short: str
) -> None:
    assert cut(text, limit) == short


FOREIGN = st.one_of(
    st.text(max_size=400),
    st.text(alphabet="<>&*_~`|!@#\n אمu\u0301👩\u200d🇩", max_size=1_000),
    st.sampled_from(
        ["<!channel>", "<!here> <@U0CLAIRE> <#C0FRONT> <!subteam^S1>", "&" * 3_000, "🔥" * 2_000,
         "e" + "\u0301" * 3_500, "\u0627" * 1_500, "x" * 4_000, "<!date^1^{date}|x>", "\ud800half"]
    ),
)  # fmt: skip


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(st.sampled_from(EntryKind))
    entry = Entry(
        effect_id="e", idempotency_key="k", kind=kind,
        case_id=draw(st.sampled_from([None, "c1", "0123456789abcdef01234567"])),
        tier=draw(st.sampled_from(["watch", "frontline", "management", "executive"]) | FOREIGN),
        partner=draw(FOREIGN), partner_tier=draw(st.none() | FOREIGN), subject=draw(FOREIGN),
        headline=draw(FOREIGN), exposure=draw(st.none() | FOREIGN),
        why=tuple(draw(st.lists(FOREIGN, max_size=30))), at=AT, due=draw(st.none() | st.just(DUE)),
        next=draw(st.none() | FOREIGN), note=draw(st.none() | FOREIGN), urgent=draw(st.booleans()),
        reminder=3, of_reminders=5, owner=draw(st.none() | FOREIGN),
        state=draw(st.sampled_from([None, "open", "acknowledged", "snoozed", "resolved"])),
        on_behalf=draw(st.none() | FOREIGN),
        would_have_told=draw(st.none() | st.tuples(FOREIGN, FOREIGN)),
        asked=draw(
            st.none() | st.builds(Asked, FOREIGN, st.tuples(FOREIGN, FOREIGN), st.just(DUE))
        ),
        joined=draw(st.none() | FOREIGN),
    )  # fmt: skip
    told = replace(entry, kind=EntryKind.ALERT) if draw(st.booleans()) else None
    return replace(entry, alert=told if kind is EntryKind.UPDATE else None)


def control_sequences(text: str) -> list[str]:
    return re.findall(r"<([^>]*)", text)


@given(entry=entries(), name=FOREIGN)
def test_whatever_partners_are_called_slack_takes_it_and_nobody_is_pinged(
    entry: Entry, name: str
) -> None:
    one = replace(message(entry), name=name)
    many = replace(message(*[entry] * 21), name=name)
    for found in (
        case_message(entry, one, "https://d.example.com"), reply(entry, one), bundle(many)
    ):  # fmt: skip
        validate(found)
        for text in (*mrkdwn([found.blocks, found.attachments]), found.text):
            assert all(c.startswith("!date^") for c in control_sequences(text))
        assert control_sequences(found.text) == []


def mrkdwn(node: Any) -> list[str]:
    """The texts in blocks and the like that Slack reads as markup."""
    if isinstance(node, dict):
        own = [str(node["text"])] if node.get("type") == "mrkdwn" else []
        return own + [t for v in node.values() for t in mrkdwn(v)]
    return [t for v in node for t in mrkdwn(v)] if isinstance(node, list) else []


@given(text=FOREIGN, limit=st.integers(10, 300))
def test_foreign_text_fits_and_stays_balanced(text: str, limit: int) -> None:
    for shown_as in (value(text, limit), literal(text, limit)):
        assert size(shown_as) <= limit
        assert shown_as.count("\u2068") == shown_as.count("\u2069")
        assert "\n" not in shown_as
    assert not re.search(r"[<>]", value(text, limit))
    assert not re.search(r"&(?!(amp|lt|gt);)", value(text, limit))


@given(text=st.text(max_size=200))
def test_clusters_lose_nothing_and_begin_with_no_mark(text: str) -> None:
    found = list(clusters(text))
    assert "".join(found) == text
    assert all(unicodedata.category(cluster[0])[0] != "M" for cluster in found[1:])
