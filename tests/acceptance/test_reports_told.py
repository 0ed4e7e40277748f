"""Reports on their way to people: the real relay and notifiers, each route its own variant."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest

from notifiers import email, webhook
from notifiers.message import Entry, EntryKind, Message
from notifiers.report_message import RenderedReport, ReportName
from notifiers.terminal import TerminalNotifier
from rules.decision import Changes, Effect
from rules.effects import report_effect
from schemas.directory import TerminalRoute
from schemas.policy import WATCH
from streams.relay.letters import entry_of, with_content
from streams.store import OutboxStatus
from tests.acceptance.test_slack import START, Crash, Desk, opened
from tests.fakes.slack import Fault, validate_blocks

NAME = ReportName("digest", "2026-W45")
PAGE = (
    '<!DOCTYPE html><html lang="en"><head><title>Digest</title></head><body class="report">'
    "<h1>SLA digest</h1><svg><rect/></svg></body></html>"
)


def content(blocks: int = 2) -> RenderedReport:
    """A report with so many of Slack's blocks."""
    shown = [{"type": "section", "text": {"type": "plain_text", "text": f"block {n}"}}
             for n in range(blocks)]  # fmt: skip
    return RenderedReport(
        text="SLA digest 2026-W45\n  first response  97.5 %\n",
        html=PAGE,
        mail=PAGE.replace("<svg><rect/></svg>", "<p>97.5 %</p>"),
        messages=[shown[at : at + 50] for at in range(0, blocks, 50)],
        document={"kind": "digest", "period": "2026-W45"},
    )  # fmt: skip


def effect(role: str = "partnership_manager") -> Effect:
    return report_effect(
        "digest|2026-W45", role, START, "SLA digest 2026-W45",
        report={"kind": NAME.kind, "key": NAME.key},
    )  # fmt: skip


@pytest.fixture
async def desk(migrated_database: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(Path(copy(migrated_database, tmp_path))) as found:
        yield found


def issue(desk: Desk, one: Effect | None = None) -> str:
    one = one or replace(effect(), created_at=desk.now)
    with desk.store.transaction() as tx:
        tx.write(Changes(effects=[one]))
    return one.effect_id


def message(desk: Desk, report: RenderedReport | None = None) -> Message:
    return Message(
        "k1", "claire", "Claire Dubois", "Europe/Berlin", START, 1, (entry(desk, report),)
    )


def entry(desk: Desk, report: RenderedReport | None = None) -> Entry:
    return with_content(entry_of(effect(), None, desk.house(), START), lambda name: report)


async def test_a_report_has_no_tier_and_asks_for_nothing(desk: Desk) -> None:
    found = entry(desk)
    assert (found.kind, found.tier, found.due, found.state) == (
        EntryKind.REPORT, WATCH, None, None
    )  # fmt: skip
    assert found.report_name == NAME


async def test_a_short_one_is_one_message(desk: Desk) -> None:
    desk.reports[NAME] = content()
    told = issue(desk)
    await desk.advance(minutes=1)
    [posted] = desk.slack.messages("C0MANAGE")
    assert "block 0" in posted.shown
    assert "block 1" in posted.shown
    assert posted.text.startswith("📊 SLA digest 2026-W45")
    assert "97.5 %" in posted.text  # what notifications and screen readers have of it
    assert posted.buttons == {}
    assert desk.became(told) is OutboxStatus.SENT


async def test_a_long_one_goes_on_in_its_thread(desk: Desk) -> None:
    desk.reports[NAME] = content(blocks=120)
    issue(desk)
    await desk.advance(minutes=1)
    [root] = desk.slack.messages("C0MANAGE")  # the channel shows its beginning alone
    pages = [root, *desk.slack.thread("C0MANAGE", root.ts)]
    assert [len(page.blocks) for page in pages] == [50, 50, 20]
    for page in pages:
        validate_blocks(page.blocks)
    shown = " ".join(page.shown for page in pages)
    assert all(f"block {n}" in shown for n in range(120))
    assert pages[1].text == "📊 SLA digest 2026-W45 (2 of 3)"


async def test_a_long_one_is_whole_and_there_once_whatever_breaks_on_the_way(desk: Desk) -> None:
    desk.reports[NAME] = content(blocks=120)
    issue(desk)
    desk.slack.faults.extend([None, Fault.ANSWER_LOST, Fault.SERVER_ERROR])
    await desk.advance(seconds=20)
    desk.restart()
    await desk.advance(minutes=5)
    [root] = desk.slack.messages("C0MANAGE")
    pages = [root, *desk.slack.thread("C0MANAGE", root.ts)]
    assert [len(page.blocks) for page in pages] == [50, 50, 20]


async def test_a_process_that_ends_between_two_pages_goes_on_after_it(desk: Desk) -> None:
    desk.reports[NAME] = content(blocks=120)
    told = issue(desk)
    desk.mortal.dies_after = 2
    with pytest.raises(Crash):
        await desk.advance(minutes=1)
    desk.restart()
    await desk.advance(minutes=5)
    [root] = desk.slack.messages("C0MANAGE")
    assert len(desk.slack.thread("C0MANAGE", root.ts)) == 2
    assert desk.became(told) is OutboxStatus.SENT


async def test_it_is_no_line_of_a_bundle_and_several_readers_share_a_channel(desk: Desk) -> None:
    desk.reports[NAME] = content()
    desk.people["claire"]["bundle"] = True
    desk.roles["partnership_manager"] = ["claire", "henrik"]
    issue(desk)
    desk.alerts([f"c{n}" for n in range(8)])
    await desk.advance(minutes=5)
    reports = [title for title in desk.titles("C0MANAGE") if title.startswith("📊")]
    assert reports == ["📊 SLA digest 2026-W45"]


@pytest.mark.parametrize("breaks", [False, True])
async def test_one_whose_content_cannot_be_had_says_so(desk: Desk, breaks: bool) -> None:
    if breaks:
        desk.reports_break = True
    told = issue(desk)
    await desk.advance(minutes=1)
    [posted] = desk.slack.messages("C0MANAGE")
    assert "digest 2026-W45" in posted.shown
    assert "its content cannot be shown now" in posted.shown
    assert desk.became(told) is OutboxStatus.SENT


async def test_in_shadow_mode_it_says_who_would_have_read_it(desk: Desk) -> None:
    shadow = replace(entry(desk, content()), would_have_told=("Claire Dubois",), on_behalf=None)
    told = Message("k1", "opsdesk", "Operations", "Europe/Berlin", START, 1, (shadow,))
    mail = email.compose(told, "ops@example.com", email.read_account(SMTP).sender)  # type: ignore[union-attr]  # it is set up
    assert mail["Subject"] == "Would have told Claire Dubois: SLA digest 2026-W45"
    page = mail.get_body(("html",))
    assert page is not None
    assert '<body class="report"><p>' in page.get_content()
    assert "Would have told Claire Dubois" in page.get_content()


SMTP = {"DETENTE_SMTP_HOST": "127.0.0.1", "DETENTE_SMTP_FROM": "detente@example.com"}


async def test_a_mail_has_the_report_as_its_body_and_as_a_file(desk: Desk) -> None:
    account = email.read_account(SMTP)
    assert account is not None
    mail = email.compose(message(desk, content()), "claire@example.com", account.sender)
    assert mail["Subject"] == "SLA digest 2026-W45"
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert page is not None
    assert "97.5 %" in text.get_content()
    assert "<p>97.5 %</p>" in page.get_content()
    assert "<svg>" not in page.get_content()
    [attached] = mail.iter_attachments()
    assert attached.get_filename() == "detente-digest-2026-W45.html"
    assert attached.get_content().rstrip() == PAGE


async def test_a_program_gets_its_document(desk: Desk) -> None:
    document = json.loads(webhook.body(message(desk, content())))
    [found] = document["entries"]
    assert found["kind"] == "report"
    assert found["report"] == {"kind": "digest", "period": "2026-W45"}


async def test_a_terminal_shows_its_text(desk: Desk) -> None:
    stream = io.StringIO()
    route = TerminalRoute(kind="terminal")
    await TerminalNotifier(stream).send(message(desk, content()), route)
    assert stream.getvalue().splitlines()[1:] == ["SLA digest 2026-W45", "  first response  97.5 %"]


async def test_a_stand_in_reads_why(desk: Desk) -> None:
    desk.reports[NAME] = content()
    desk.people["claire"] |= {
        "stand_in": "henrik", "absences": [{"from": "2026-11-01", "until": "2026-11-05"}]
    }  # fmt: skip
    issue(desk)
    await desk.advance(minutes=1)
    [posted] = desk.slack.messages("C0MANAGE")
    assert "You read this because you stand in for Claire Dubois." in posted.shown
