"""E-mail against a real SMTP server on loopback, with TLS where that is the question."""

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from detente.channels import open_channels
from detente.embedded import Embedded, open_embedded
from detente.settings import Settings, SettingsError
from notifiers.email import (
    EmailNotifier,
    EmailSettingsError,
    Security,
    compose,
    read_account,
)
from notifiers.message import Entry, EntryKind, Message
from notifiers.notifier import Failed, Outcome, Retry, Sent
from schemas.directory import EmailRoute, TerminalRoute
from schemas.time import DAY, HOUR, Instant, iso, to_instant
from streams.records import RawRecord
from streams.relay import Relay
from streams.relay.letters import route_name

PASSWORD = "never-to-be-seen"
NOW = to_instant(datetime.fromisoformat("2026-11-03T12:00:00+01:00"))
KEY = "0123456789abcdef0123456789abcdef"
ENTRY = Entry(
    effect_id="e1", idempotency_key=KEY, kind=EntryKind.ALERT, case_id="C-1",
    tier="management", partner="Nördlich 東京 GmbH", partner_tier="growth", subject="order 1",
    headline="late", exposure="1,200.00 EUR", why=("50 h > 48 h",), at=NOW,
    due=Instant(NOW + 2 * HOUR), next="executive is told", note=None, urgent=False,
)  # fmt: skip
MESSAGE = Message(KEY, "claire", "Claire Dubois", "Europe/Berlin", NOW, 1, (ENTRY,))
SENDER = Address("Detente", addr_spec="detente@example.com")
ROUTE = EmailRoute(kind="email", address="claire@example.com")


@dataclass
class Mailbox:
    """The server's side: keeps what it takes, and answers what a test wants answered."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    in_tls: list[bool] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    recipient: str = "250 OK"
    data: str = "250 taken"
    login: str = ""
    stalls: asyncio.Event | None = None
    hangs_up: bool = False

    async def handle_RCPT(  # noqa: N802 - the name that the server looks for
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(  # noqa: N802 - the name that the server looks for
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.stalls is not None:
            await self.stalls.wait()
        if self.data.startswith("250"):
            raw = envelope.content
            assert isinstance(raw, bytes)
            assert raw.isascii()
            assert max(map(len, raw.split(b"\r\n"))) <= 998
            self.mails.append(message_from_bytes(raw, policy=default))
            self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
            self.in_tls.append(session.ssl is not None)
            self.logins.append(bool(session.authenticated))
        return self.data

    async def handle_QUIT(  # noqa: N802 - the name that the server looks for
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.hangs_up:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "221 Bye"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        if self.login:
            return AuthResult(success=False, handled=False, message=self.login)
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=good, handled=False)


@asynccontextmanager
async def serving(
    *, implicit: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(mailbox, hostname="mail.example.com", loop=loop,
                    authenticator=mailbox.authenticate, **options)  # fmt: skip

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=implicit)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        if mailbox.stalls is not None:
            mailbox.stalls.set()
        server.close()
        await server.wait_closed()


def notifier(
    mailbox: Mailbox,
    security: Security = Security.NONE,
    *,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
    timeout: float = 30.0,
) -> EmailNotifier:
    variables = {
        "DETENTE_SMTP_HOST": "127.0.0.1",
        "DETENTE_SMTP_PORT": str(mailbox.port),
        "DETENTE_SMTP_TLS": security.value,
        "DETENTE_SMTP_FROM": "Detente <detente@example.com>",
    }
    if password is not None:
        variables |= {"DETENTE_SMTP_USER": "detente", "DETENTE_SMTP_PASSWORD": password}
    account = read_account(variables)
    assert account is not None
    return EmailNotifier(account, base_url="https://detente.example.com/", tls=tls, timeout=timeout)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with serving() as found:
        yield found


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    text: str = found.get_content()
    return text


# --- what arrives ---------------------------------------------------------------------------------


async def test_a_mail_says_who_and_what_as_text_and_as_html(mailbox: Mailbox) -> None:
    assert await notifier(mailbox).send(MESSAGE, ROUTE) == Sent(f"<{KEY}@example.com>")
    [mail] = mailbox.mails
    assert mailbox.envelopes == [("detente@example.com", ["claire@example.com"])]
    assert mail["Subject"] == "[ALERT management] Nördlich 東京 GmbH: late"
    assert mail["To"] == "Claire Dubois <claire@example.com>"
    assert mail["Message-ID"] == f"<{KEY}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["In-Reply-To"] is None
    text, html = part(mail, "plain"), part(mail, "html")
    for said in ("Nördlich 東京 GmbH (growth)", "1,200.00 EUR", "Tue 3 Nov 2026 14:00 CET",
                 "detente ack C-1", "https://detente.example.com/cases/C-1"):  # fmt: skip
        assert said in text
        assert said in html
    assert "50 h > 48 h" in text
    assert "50 h &gt; 48 h" in html


async def test_what_follows_about_a_case_answers_what_was_told_before(mailbox: Mailbox) -> None:
    told = tuple(f"<{n}@example.com>" for n in range(20))
    update = replace(ENTRY, kind=EntryKind.UPDATE, earlier=told)
    await notifier(mailbox).send(replace(MESSAGE, entries=(update,)), ROUTE)
    [mail] = mailbox.mails
    assert mail["In-Reply-To"] == "<19@example.com>"
    assert mail["References"].split() == [told[0], *told[-10:]]


async def test_a_second_attempt_can_be_recognised(mailbox: Mailbox) -> None:
    mail = notifier(mailbox)
    await mail.send(MESSAGE, ROUTE)
    await mail.send(replace(MESSAGE, attempt=2, may_have_arrived=MESSAGE.sent_at), ROUTE)
    assert [one["Message-ID"] for one in mailbox.mails] == [f"<{KEY}@example.com>"] * 2


async def test_a_bundle_lists_what_is_in_it_and_answers_nothing(mailbox: Mailbox) -> None:
    entries = tuple(
        replace(ENTRY, case_id=f"C-{n}", urgent=n == 1, earlier=("<x@example.com>",))
        for n in range(60)
    )
    await notifier(mailbox).send(replace(MESSAGE, entries=entries), ROUTE)
    [mail] = mailbox.mails
    assert mail["Subject"] == "60 cases to acknowledge"
    assert mail["Importance"] == "high"
    assert mail["In-Reply-To"] is None
    assert "C-49" in part(mail, "html")
    assert "C-50" not in part(mail, "html")
    assert "10 more" in part(mail, "html")


NASTY = (
    "Evil\r\nBcc: all@example.com\u202e<b>&\x1b[31m\u2066\u05e9\u05dc <script>x</script> "
    + "x" * 300
)


async def test_what_partners_write_forges_no_header_and_no_html(mailbox: Mailbox) -> None:
    entry = replace(ENTRY, partner=NASTY, headline=NASTY, subject=NASTY, why=(NASTY,), note=NASTY,
                    next=NASTY, exposure=NASTY, on_behalf=NASTY, tier=NASTY)  # fmt: skip
    await notifier(mailbox).send(replace(MESSAGE, name=NASTY, entries=(entry,)), ROUTE)
    [mail] = mailbox.mails
    assert mail["Bcc"] is None
    assert mailbox.envelopes == [("detente@example.com", ["claire@example.com"])]
    assert len(mail["Subject"]) <= 200
    html, text = part(mail, "html"), part(mail, "plain")
    assert "<script" not in html
    assert "<b>" not in html
    assert "\u05e9\u05dc" in html
    for said in (html, text, mail["Subject"]):
        assert not {"\u202e", "\u2066", "\x1b"} & set(said)


@given(st.text(max_size=400), st.text(max_size=80))
def test_any_text_makes_a_mail_of_plain_ascii_that_reads_back(partner: str, name: str) -> None:
    entry = replace(ENTRY, partner=partner, headline=partner, why=(partner,), earlier=("<a@b.c>",))
    mail = compose(replace(MESSAGE, name=name, entries=(entry,)), ROUTE.address, SENDER)
    raw = mail.as_bytes()
    assert raw.isascii()
    again = message_from_bytes(raw, policy=default)
    assert sorted(again.keys()) == sorted(mail.keys())
    assert again["To"].addresses[0].addr_spec == ROUTE.address
    assert again["Message-ID"] == f"<{KEY}@example.com>"
    assert again.defects == []


def test_a_long_domain_does_not_break_the_id() -> None:
    sender = Address("Detente", addr_spec=f"detente@{'long-' * 11}x.example.com")
    mail = compose(MESSAGE, ROUTE.address, sender)
    assert f"Message-ID: <{KEY}@detente.invalid>\r\n".encode() in mail.as_bytes()


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipient", "data", "outcome"),
    [
        ("550 5.1.1 no claire here", "250 x",
         Failed("the mail server refuses the address: 550 5.1.1: there is no such mailbox")),
        ("550 who?", "250 x",
         Failed("the mail server refuses the address: 550: there is no such mailbox")),
        ("552 5.2.2 full", "250 x",
         Failed("the mail server refuses the address: 552 5.2.2: the mailbox is full")),
        ("450 4.2.1 greylisted", "250 x",
         Retry("the mail server refuses the address: 450 4.2.1")),
        ("250 OK", "451 4.3.0 later", Retry("the mail server refuses to send: 451 4.3.0")),
        ("250 OK", "554 5.7.1 spam",
         Failed("the mail server refuses to send: 554 5.7.1: the server's policy refuses it")),
    ],
)  # fmt: skip
async def test_a_refusal_is_final_and_a_delay_is_not(
    mailbox: Mailbox, recipient: str, data: str, outcome: Outcome
) -> None:
    mailbox.recipient, mailbox.data = recipient, data
    assert await notifier(mailbox).send(MESSAGE, ROUTE) == outcome
    assert mailbox.mails == []


async def test_a_server_that_is_away_is_tried_again(mailbox: Mailbox) -> None:
    mail = notifier(mailbox)
    async with serving() as gone:
        away = notifier(gone)
    assert await away.send(MESSAGE, ROUTE) == Retry(
        "no connection to the mail server: SMTPConnectError"
    )
    mailbox.stalls = asyncio.Event()
    assert await notifier(mailbox, timeout=0.2).send(MESSAGE, ROUTE) == Retry(
        "no answer from the mail server in time"
    )
    mailbox.stalls.set()
    assert isinstance(await mail.send(MESSAGE, ROUTE), Sent)


async def test_what_the_server_took_is_sent_though_it_hangs_up(mailbox: Mailbox) -> None:
    mailbox.hangs_up = True
    assert isinstance(await notifier(mailbox).send(MESSAGE, ROUTE), Sent)
    assert len(mailbox.mails) == 1


async def test_another_kind_of_route_is_refused(mailbox: Mailbox) -> None:
    outcome = await notifier(mailbox).send(MESSAGE, TerminalRoute(kind="terminal"))
    assert outcome == Failed("a terminal route is not e-mail")


# --- TLS and login --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certified:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def certified() -> Certified:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certified(server, client)


async def test_starttls_then_login(certified: Certified) -> None:
    async with serving(tls_context=certified.server, require_starttls=True) as mailbox:
        mail = notifier(mailbox, Security.STARTTLS, password=PASSWORD, tls=certified.client)
        assert isinstance(await mail.send(MESSAGE, ROUTE), Sent)
        assert (mailbox.in_tls, mailbox.logins) == ([True], [True])


async def test_tls_from_the_first_byte(certified: Certified) -> None:
    async with serving(implicit=certified.server, auth_require_tls=False) as mailbox:
        mail = notifier(mailbox, Security.TLS, password=PASSWORD, tls=certified.client)
        assert isinstance(await mail.send(MESSAGE, ROUTE), Sent)
        assert mailbox.logins == [True]


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_server_that_nobody_vouches_for_gets_nothing(
    certified: Certified, security: Security, caplog: pytest.LogCaptureFixture
) -> None:
    implicit = certified.server if security is Security.TLS else None
    caplog.set_level("CRITICAL", "asyncio")  # the server's side says that the client hung up
    async with serving(implicit=implicit, tls_context=certified.server) as mailbox:
        outcome = await notifier(mailbox, security, password=PASSWORD).send(MESSAGE, ROUTE)
        assert isinstance(outcome, Failed)
        assert "certificate is not valid" in outcome.reason
        assert (mailbox.mails, mailbox.logins) == ([], [])


async def test_without_starttls_nothing_is_said(mailbox: Mailbox) -> None:
    outcome = await notifier(mailbox, Security.STARTTLS, password=PASSWORD).send(MESSAGE, ROUTE)
    assert outcome == Failed(
        "the mail server offers no STARTTLS; see DETENTE_SMTP_TLS and DETENTE_SMTP_PORT"
    )
    assert mailbox.mails == []


async def test_a_wrong_password_is_final_and_never_shown(
    certified: Certified, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with serving(tls_context=certified.server) as mailbox:
        wrong = notifier(mailbox, Security.STARTTLS, password="wrong-one", tls=certified.client)
        assert await wrong.send(MESSAGE, ROUTE) == Failed(
            "the mail server refuses user and password (535): "
            "see DETENTE_SMTP_USER and DETENTE_SMTP_PASSWORD"
        )
        mailbox.login = "454 4.7.0 wrong-one cannot be looked at now"
        later = await wrong.send(MESSAGE, ROUTE)
        assert isinstance(later, Retry)
    told = [record for record in caplog.records if not record.name.startswith("mail.")]
    assert "wrong-one" not in f"{later} {[r.getMessage() for r in told]} {vars(wrong)}"


# --- settings -------------------------------------------------------------------------------------

GOOD = {"DETENTE_SMTP_HOST": "mail.example.com", "DETENTE_SMTP_FROM": "detente@example.com"}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, (587, Security.STARTTLS)),
        ({"DETENTE_SMTP_PORT": "465"}, (465, Security.TLS)),
        ({"DETENTE_SMTP_PORT": "25", "DETENTE_SMTP_TLS": "tls"}, (25, Security.TLS)),
        ({"DETENTE_SMTP_HOST": "localhost"}, (587, Security.NONE)),
        ({"DETENTE_SMTP_HOST": "127.0.0.1", "DETENTE_SMTP_TLS": "starttls"},
         (587, Security.STARTTLS)),
    ],
)  # fmt: skip
def test_a_connection_is_protected_unless_it_stays_here(
    variables: dict[str, str], found: tuple[int, Security]
) -> None:
    account = read_account(GOOD | variables)
    assert account is not None
    assert (account.port, account.security) == found


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DETENTE_SMTP_TLS": "none"}, "none is only for a server on this machine"),
        ({"DETENTE_SMTP_TLS": "ssl"}, "'ssl' is unknown; accepted are starttls, tls, none"),
        ({"DETENTE_SMTP_PORT": "0"}, "accepted are 1 to 65535"),
        ({"DETENTE_SMTP_PORT": "smtp"}, "'smtp' is no port"),
        ({"DETENTE_SMTP_FROM": ""}, "DETENTE_SMTP_FROM: '' is no sender"),
        ({"DETENTE_SMTP_FROM": "detente"}, "write e.g. Detente <detente@example.com>"),
        ({"DETENTE_SMTP_USER": "x"}, "DETENTE_SMTP_PASSWORD is not set"),
        ({"DETENTE_SMTP_PASSWORD": PASSWORD}, "DETENTE_SMTP_USER is not set"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(variables: dict[str, str], says: str) -> None:
    with pytest.raises(EmailSettingsError, match=says) as caught:
        read_account(GOOD | variables)
    assert PASSWORD not in str(caught.value)


def test_no_server_no_account_and_no_password_in_repr() -> None:
    assert read_account({}) is None
    account = read_account(
        GOOD | {"DETENTE_SMTP_USER": "detente", "DETENTE_SMTP_PASSWORD": PASSWORD}
    )
    assert account is not None
    assert account.password == PASSWORD
    assert PASSWORD not in repr(account)


@pytest.mark.parametrize(
    "address", ["claire", "a@b", "a b@example.com", "a@example.com\r\nBcc: b@example.com",
                "A <a@example.com>", "a@-example.com", "é@example.com", ""],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ValidationError, match="an e-mail address is expected"):
        EmailRoute(kind="email", address=address)


# --- as the service uses it -----------------------------------------------------------------------


async def test_the_service_mails_where_a_server_is_named(mailbox: Mailbox) -> None:
    variables = {
        "DETENTE_SMTP_HOST": "127.0.0.1",
        "DETENTE_SMTP_PORT": str(mailbox.port),
        "DETENTE_SMTP_FROM": "detente@example.com",
    }
    async with aiohttp.ClientSession() as session:
        channels = open_channels(variables, session, io.StringIO())
        assert isinstance(await channels["email"].send(MESSAGE, ROUTE), Sent)
        assert "email" not in open_channels({}, session, io.StringIO())
        with pytest.raises(SettingsError, match="DETENTE_SMTP_FROM"):
            open_channels(variables | {"DETENTE_SMTP_FROM": "x"}, session, io.StringIO())


def test_records_show_the_address() -> None:
    assert route_name(2, ROUTE) == "2 email claire@example.com"


THREAD_POLICY = """
tiers: [frontline, management]
rules: [{name: order-impact, when: {impact: "> 5%"}, open_at: management}]
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h}
partner_tiers: [standard]
calendars: {default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}}}
"""
THREAD_DIRECTORY = """
people:
  claire: {name: Claire, routes: [{kind: email, address: claire@example.com}]}
  david: {name: David, routes: [{kind: email, address: david@example.com}]}
roles: {account_manager: david, partnership_manager: claire, operations: david}
partners: {kontor: {tier: standard}}
"""


async def test_a_case_is_one_thread_in_each_mailbox(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(THREAD_POLICY)
    (tmp_path / "directory.yaml").write_text(THREAD_DIRECTORY)
    settings = Settings(f"sqlite:///{tmp_path / 'd.db'}", "127.0.0.1", 0,
                        tmp_path / "policy.yaml", tmp_path / "directory.yaml")  # fmt: skip
    with open_embedded(settings, NOW) as embedded:

        async def write(work: Any) -> None:
            with embedded.store.transaction() as tx:
                work(tx)

        def say(number: int, type_: str, **data: Any) -> None:
            event = {"specversion": "1.0", "id": f"e{number}", "source": "/erp", "type": type_,
                     "time": iso(NOW), "data": data}  # fmt: skip
            record = RawRecord("erp", str(number), json.dumps(event).encode())
            [outcome] = embedded.handler.take([record], NOW)
            assert type(outcome).__name__ == "Accepted", outcome

        relay = Relay(embedded.store.reading, write, embedded.knowledge.house,
                      {"email": notifier(mailbox)}, Random(1))  # fmt: skip
        order = {"partner_id": "kontor", "order_id": "PO-1"}
        lines = [{"sku": "cup", "quantity": 100}]
        say(1, "order.placed", **order, promised_at=iso(Instant(NOW + DAY)), lines=lines)
        say(2, "order.impacted", **order, kind="short", quantity=50)
        await relay.run_once(NOW)
        say(3, "case.acknowledged", case_id=only_case(embedded), actor="claire")
        await relay.run_once(Instant(NOW + HOUR))
    threads: dict[str, list[EmailMessage]] = {}
    for mail in mailbox.mails:
        threads.setdefault(mail["To"].addresses[0].addr_spec, []).append(mail)
    assert len(threads["claire@example.com"]) == 1  # nobody is told of their own change
    first, second = threads["david@example.com"]
    assert second["In-Reply-To"] == first["Message-ID"]
    assert second["Message-ID"] != first["Message-ID"]
    assert second["Subject"].startswith("[UPDATE")


def only_case(embedded: Embedded) -> str:
    with embedded.store.reading() as tx:
        [case] = tx.list_cases()
    return case.case_id
