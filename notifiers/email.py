"""Messages are mailed: text and HTML, over a server that is spoken to with TLS.

- `Message-ID` is made of the idempotency key: a message that is sent again, after a time-out that
  may have been a success, has the same one, so that mailboxes and readers can tell.
- What is told of one case answers what was told of it before (`In-Reply-To`, `References`), so
  that mail programs show one thread.
- `Auto-Submitted: auto-generated` (RFC 3834) keeps out-of-office programs from answering.

Names and summaries come from partners' systems: they are made plain before they get into a
header or a line, and escaped in HTML, where each is a piece of text with its own direction.
"""

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import format_datetime, parseaddr
from enum import StrEnum
from html import escape

import aiosmtplib
from pydantic import ValidationError

from notifiers import render
from notifiers.message import Entry, EntryKind, Message
from notifiers.notifier import Failed, Outcome, Retry, Sent
from schemas.directory import EmailRoute, Route
from schemas.time import to_datetime

#: Seconds for one command, and for the whole of an attempt.
COMMAND_TIMEOUT, TIMEOUT = 15.0, 60.0
#: Seconds for the farewell, once the server has taken the message.
_QUIT_TIMEOUT = 2.0
#: Connections at one time; servers turn away who opens many.
CONNECTIONS = 4
#: Characters of a subject; mail programs show far fewer.
LONGEST_SUBJECT = 200
#: Of the messages told before, so many are named as references (RFC 5322 asks for the parent's).
_REFERENCES = 10
#: The variables that set e-mail up.
PREFIX = "DETENTE_SMTP_"
BASE_URL = "DETENTE_BASE_URL"
#: Header lines break at 78 columns; a longer id would be encoded, and no longer be one.
_LONGEST_DOMAIN = 28


class EmailSettingsError(ValueError):
    """The variables do not say how to send; the message names the one, and what is accepted."""


class Security(StrEnum):
    """How the connection is protected."""

    STARTTLS = "starttls"
    """It begins in the open and turns to TLS before anything is said; without it nothing is."""
    TLS = "tls"
    NONE = "none"
    """Only for a server on this machine."""


@dataclass(frozen=True, slots=True)
class SmtpAccount:
    """The server, and as whom it is used."""

    host: str
    port: int
    security: Security
    sender: Address
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.security is Security.NONE and not is_loopback(self.host):
            raise EmailSettingsError(
                f"{PREFIX}TLS: none is only for a server on this machine, and {self.host} is not "
                "one; accepted are starttls and tls"
            )


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_account(environment: Mapping[str, str]) -> SmtpAccount | None:
    """The account that the variables describe; None where DETENTE_SMTP_HOST is not set.

    Raises EmailSettingsError.
    """

    def said(name: str) -> str | None:
        return environment.get(PREFIX + name) or None

    host = said("HOST")
    if host is None:
        return None
    port = said("PORT")
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise EmailSettingsError(f"{PREFIX}PORT: {port!r} is no port; accepted are 1 to 65535")
    number = int(port or 587)
    usual = Security.TLS if number == 465 else Security.STARTTLS
    security = said("TLS") or (Security.NONE if is_loopback(host) else usual)
    if security not in set(Security):
        accepted = ", ".join(Security)
        raise EmailSettingsError(f"{PREFIX}TLS: {security!r} is unknown; accepted are {accepted}")
    user, password = said("USER"), said("PASSWORD")
    if (user is None) != (password is None):
        missing = "USER" if user is None else "PASSWORD"
        raise EmailSettingsError(f"{PREFIX}{missing} is not set; user and password go together")
    sender = _sender(said("FROM") or "")
    return SmtpAccount(host, number, Security(security), sender, user, password)


def _sender(text: str) -> Address:
    name, address = parseaddr(text)
    try:
        route = EmailRoute(kind="email", address=address)
    except ValidationError:
        raise EmailSettingsError(
            f"{PREFIX}FROM: {text!r} is no sender; write e.g. Detente <detente@example.com>"
        ) from None
    return Address(render.plain(name) or "Detente", addr_spec=route.address)


class EmailNotifier:
    """Mails over an account, one connection a message.

    `tls` verifies the server; without it the authorities count that this machine trusts
    (SSL_CERT_FILE names others). `base_url` is where each case has a page; None for nowhere.
    """

    def __init__(
        self,
        account: SmtpAccount,
        *,
        base_url: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._account = account
        self._base_url = base_url
        self._tls = tls or ssl.create_default_context()
        self._timeout = timeout
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def send(self, message: Message, route: Route) -> Outcome:
        """Hand the message to the server once. Taken by the server is sent.

        What the server says again later (4yz), and what breaks on the way, may pass; a refusal
        (5yz), a wrong password and a connection that cannot be protected are permanent.
        """
        if not isinstance(route, EmailRoute):
            return Failed(f"a {route.kind} route is not e-mail")
        mail = compose(message, route.address, self._account.sender, self._base_url)
        async with self._free:
            return await self._hand_over(mail.as_bytes(), route.address, str(mail["Message-ID"]))

    async def _hand_over(self, mail: bytes, address: str, message_id: str) -> Outcome:
        account = self._account
        client = aiosmtplib.SMTP(
            hostname=account.host,
            port=account.port,
            use_tls=account.security is Security.TLS,
            start_tls=account.security is Security.STARTTLS,
            tls_context=self._tls,
            timeout=min(COMMAND_TIMEOUT, self._timeout),
            local_hostname=account.sender.domain,
        )
        doing = "to connect"
        try:
            async with asyncio.timeout(self._timeout):
                await client.connect()
                if account.user is not None and account.password is not None:
                    doing = "to log in"
                    await client.login(account.user, account.password)
                doing = "to send"
                await client.sendmail(account.sender.addr_spec, [address], mail)
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=_QUIT_TIMEOUT)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _judge(error, doing)
        finally:
            client.close()
        return Sent(message_id)


def from_environment(environment: Mapping[str, str]) -> EmailNotifier | None:
    """The notifier for `email` routes; None where the environment names no server.

    Raises EmailSettingsError.
    """
    account = read_account(environment)
    if account is None:
        return None
    return EmailNotifier(account, base_url=environment.get(BASE_URL) or None)


# --- what a failure means -------------------------------------------------------------------------

_HINTS = {
    "5.1.1": "there is no such mailbox",
    "5.1.2": "there is no such domain",
    "5.1.3": "the address is not a valid one",
    "5.1.6": "the mailbox has moved",
    "5.1.10": "the domain takes no mail",
    "5.2.1": "the mailbox is disabled",
    "5.2.2": "the mailbox is full",
    "5.3.4": "the message is too large",
    "5.7.1": "the server's policy refuses it",
}


def _judge(error: Exception, doing: str) -> Retry | Failed:
    """What an error means. What the server said is never repeated, only its numbers."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failed(f"the mail server's certificate is not valid ({cause.verify_code})")
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            refusal = error.recipients[0]
            return _refused(refusal.code, refusal.message, "the address")
        case aiosmtplib.SMTPAuthenticationError() if error.code >= 500:
            return Failed(
                f"the mail server refuses user and password ({error.code}): "
                f"see {PREFIX}USER and {PREFIX}PASSWORD"
            )
        case aiosmtplib.SMTPSenderRefused():
            return _refused(error.code, error.message, "the sender")
        case aiosmtplib.SMTPResponseException():
            return _refused(error.code, error.message, doing)
        case TimeoutError():  # aiosmtplib's among them
            return Retry("no answer from the mail server in time")
        case OSError():  # as its errors of connection are
            return Retry(f"no connection to the mail server: {type(error).__name__}")
        case aiosmtplib.SMTPNotSupported():
            return Failed("the mail server cannot take such an address")
        case _ if doing == "to connect":
            return Failed(f"the mail server offers no STARTTLS; see {PREFIX}TLS and {PREFIX}PORT")
        case _ if doing == "to log in":
            return Failed(f"the mail server takes no password; unset {PREFIX}USER, or use TLS")
        case _:
            return Retry(f"the mail server was not understood: {type(error).__name__}")


def _refused(code: int, said: str, what: str) -> Retry | Failed:
    found = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", said)  # RFC 3463
    status = found.group() if found else ""
    hint = _HINTS.get(status) or ("there is no such mailbox" if code in {550, 551, 553} else "")
    if what != "the address" and not found:
        hint = ""
    answer = f"the mail server refuses {what}: {' '.join(filter(None, (str(code), status)))}"
    if code >= 500:
        return Failed(f"{answer}: {hint}" if hint else answer)
    return Retry(answer)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# --- the mail -------------------------------------------------------------------------------------


def compose(
    message: Message, address: str, sender: Address, base_url: str | None = None
) -> EmailMessage:
    """The mail of a message."""
    mail = EmailMessage(policy=POLICY)
    mail["From"] = sender
    mail["To"] = Address(render.plain(message.name), addr_spec=address)
    title = render.title(message)
    longer = len(title) > LONGEST_SUBJECT
    mail["Subject"] = f"{title[: LONGEST_SUBJECT - 3]}..." if longer else title
    mail["Date"] = format_datetime(to_datetime(message.sent_at))
    mail["Message-ID"] = message_id(message.idempotency_key, sender.domain)
    if earlier := _earlier(message):
        mail["In-Reply-To"] = earlier[-1]
        mail["References"] = " ".join(earlier[:1] + earlier[1:][-_REFERENCES:])
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"  # what Exchange listens to
    if any(entry.urgent for entry in message.entries):
        mail["Importance"] = "high"
    # Not 8bit: not every server on the way can take it.
    mail.set_content(_text(message, base_url), cte="quoted-printable")
    report = message.entries[0].report
    page = _html(message, base_url) if report is None else _report_page(message, report.mail)
    mail.add_alternative(page, subtype="html", cte="quoted-printable")
    if report is not None:
        # Mail programs show no drawings inside a mail; a browser shows them in the file.
        drawn, name = _report_page(message, report.html), _file(message.entries[0])
        mail.add_attachment(drawn, subtype="html", cte="base64", filename=name)
    return mail


def message_id(key: str, domain: str) -> str:
    """The `Message-ID` under which every attempt at a message is sent."""
    return f"<{key}@{domain if len(domain) <= _LONGEST_DOMAIN else 'detente.invalid'}>"


def _earlier(message: Message) -> list[str]:
    """The ids of what was mailed about the same case before, oldest first."""
    if message.is_bundle:
        return []
    own = message.idempotency_key
    return [one for one in message.entries[0].earlier if not one.startswith(f"<{own}@")]


def _page(entry: Entry, base_url: str | None) -> str | None:
    if not base_url or entry.case_id is None:
        return None
    return f"{base_url.rstrip('/')}/cases/{entry.case_id}"


def _text(message: Message, base_url: str | None) -> str:
    page = None if message.is_bundle else _page(message.entries[0], base_url)
    return render.text(message) + (f"\n  Its page:  {page}" if page else "") + "\n"


#: Mail programs know colours in attributes, few know style sheets.
_COLOURS = {
    EntryKind.ALERT: "#b3261e",
    EntryKind.REMINDER: "#9a6700",
    EntryKind.OPERATIONS: "#6639ba",
    EntryKind.WARNING: "#9a6700",
    EntryKind.NOTICE: "#24292f",
    EntryKind.UPDATE: "#24292f",
    EntryKind.RETRACTION: "#1a7f37",
    EntryKind.REPORT: "#24292f",
}


def _html(message: Message, base_url: str | None) -> str:
    colour = _COLOURS[message.entries[0].kind]
    parts = [f'<h2 style="color:{colour};font-size:18px">{_own(render.title(message))}</h2>']
    if message.is_bundle:
        shown = message.entries[: render.MOST_ENTRIES]
        parts.append("<ul>")
        parts += (_listed(entry, message.zone, base_url) for entry in shown)
        parts.append("</ul>")
        if (more := len(message.entries) - len(shown)) > 0:
            parts.append(f"<p>... and {more} more: <code>detente cases</code> lists them all.</p>")
    else:
        parts += _alone(message.entries[0], message.zone, base_url)
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"></head>\n'
        f'<body style="font-family:sans-serif;font-size:14px;color:#24292f">\n{body}\n'
        "</body></html>\n"
    )


def _report_page(message: Message, page: str) -> str:
    """A report's own page, with what this reader must know before it."""
    remarks = "".join(f"<p>{_own(remark)}</p>" for remark in render.remarks(message))
    start = re.search(r"<body\b[^>]*>", page)
    place = 0 if start is None else start.end()
    return page[:place] + remarks + page[place:]


def _file(entry: Entry) -> str:
    name = "-".join(entry.report_name or ("report",))
    return re.sub(r"[^A-Za-z0-9.-]+", "-", f"detente-{name}")[:100] + ".html"


def _alone(entry: Entry, zone: str, base_url: str | None) -> Iterator[str]:
    if entry.on_behalf:
        yield f"<p>You read this because {_own(entry.on_behalf)}.</p>"
    yield '<table cellpadding="4">'
    for name, value in render.facts(entry, zone):
        yield (
            f'<tr><th align="left" valign="top">{escape(name)}</th>'
            f"<td>{_own(value)}</td></tr>"
        )  # fmt: skip
    yield "</table>"
    if page := _page(entry, base_url):
        yield f'<p><a href="{escape(page)}">Open the case</a></p>'
    if entry.case_id:
        own = f"To own it: <code>detente ack {escape(entry.case_id)}</code><br>"
        story = f"Its story: <code>detente explain {escape(entry.case_id)}</code>"
        yield f"<p>{own if render.asks(entry) else ''}{story}</p>"


def _listed(entry: Entry, zone: str, base_url: str | None) -> str:
    head = f"<b>{escape(render.label(entry))}</b> {_own(render.about(entry))}"
    if entry.exposure:
        head += f" ({_own(entry.exposure)})"
    facts = [_own(entry.on_behalf)] if entry.on_behalf else []
    if entry.due is not None and render.asks(entry):
        facts.append(f"until {escape(render.moment(entry.due, zone))}")
    if page := _page(entry, base_url):
        facts.append(f'<a href="{escape(page)}">open the case</a>')
    if entry.case_id:
        verb = "ack" if render.asks(entry) else "explain"
        facts.append(f"<code>detente {verb} {escape(entry.case_id)}</code>")
    return f"<li>{head}<br>{'; '.join(facts)}</li>"


def _own(value: str) -> str:
    """A value from outside: plain, escaped, and with a writing direction of its own."""
    return f'<bdi dir="auto">{escape(render.plain(value))}</bdi>'
