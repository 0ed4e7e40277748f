"""Messages are POSTed as JSON and signed, so that the receiver can tell who speaks and when.

Headers, for a receiver to check:

- `Detente-Timestamp`: seconds since 1970 at which this attempt was made; refuse what is older
  than five minutes.
- `Detente-Signature`: `v1=` and the HMAC-SHA256, in hex, of timestamp, a full stop and the raw
  body, keyed with the shared secret. The scheme is the one that Slack and Stripe use.
- `Idempotency-Key`: equal for every attempt at the same message; take the first, answer 200.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from notifiers import render
from notifiers.message import Entry, Message
from notifiers.notifier import Failed, Outcome, Retry, Sent
from schemas.directory import Route, WebhookRoute
from schemas.time import SECOND, Instant, iso, to_instant

#: Seconds for the whole request, and for the connection alone.
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
#: Nobody is left alone for longer, whatever the other side asks for.
LONGEST_WAIT = 3600 * SECOND


def body(message: Message) -> bytes:
    """The JSON document that is POSTed."""
    return msgspec.json.encode(
        {
            "version": 1,
            "idempotency_key": message.idempotency_key,
            "person": {"id": message.person, "name": message.name, "timezone": message.zone},
            "shadow": message.is_shadow,
            "would_have_told": message.would_have_told,
            "title": render.title(message),
            "text": render.text(message),
            "entries": [_entry(entry) for entry in message.entries],
        }
    )


def sign(secret: bytes, timestamp: str, document: bytes) -> str:
    """The value of `Detente-Signature`."""
    signed = timestamp.encode() + b"." + document
    return "v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()


class WebhookNotifier:
    """POSTs over a session that the caller opens and closes.

    `environment` holds the secrets; a route names its own (`secret_env`). A secret is looked up
    for each message and kept nowhere.
    """

    def __init__(self, session: aiohttp.ClientSession, environment: Mapping[str, str]) -> None:
        self._session = session
        self._environment = environment

    async def send(self, message: Message, route: Route) -> Outcome:
        """POST once. 2xx is sent; 408, 429 and 5xx may pass; everything else is permanent."""
        if not isinstance(route, WebhookRoute):
            return Failed(f"a {route.kind} route is not a webhook")
        secret = self._environment.get(route.secret_env)
        if not secret:
            return Failed(f"the environment variable {route.secret_env} holds no secret")
        document = body(message)
        timestamp = str(message.sent_at // SECOND)
        headers = {
            "Content-Type": "application/json",
            "Detente-Timestamp": timestamp,
            "Detente-Signature": sign(secret.encode(), timestamp, document),
            "Idempotency-Key": message.idempotency_key,
        }
        try:
            async with self._session.post(
                route.url,
                data=document,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,  # the signature is for this receiver and no other
            ) as answer:
                return _judge(answer.status, answer.headers.get("Retry-After"), message.sent_at)
        except TimeoutError:
            return Retry("no answer in time")
        except (aiohttp.InvalidURL, ValueError):
            return Failed("the route's url is not one that can be called")
        except aiohttp.ClientError as error:
            # Never its text: that may quote the url, and urls carry tokens.
            return Retry(f"no connection: {type(error).__name__}")


def _judge(status: int, retry_after: str | None, now: Instant) -> Outcome:
    if 200 <= status < 300:
        return Sent()
    reason = f"HTTP {status}"
    if status in {408, 429} or status >= 500:
        return Retry(reason, _wait(retry_after, now))
    if 300 <= status < 400:
        return Failed(f"{reason}: redirects are not followed; put the final url into the route")
    return Failed(reason)


def _wait(retry_after: str | None, now: Instant) -> int | None:
    """Microseconds of a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(int(text) * SECOND, LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # -0000 says no zone
    return min(max(to_instant(aware) - now, 0), LONGEST_WAIT)


def _entry(entry: Entry) -> dict[str, object]:
    return {
        "effect_id": entry.effect_id,
        "kind": entry.kind.value,
        "case_id": entry.case_id,
        "state": entry.state,
        "tier": entry.tier,
        "partner": entry.partner,
        "partner_tier": entry.partner_tier,
        "subject": entry.subject,
        "headline": entry.headline,
        "exposure": entry.exposure,
        "why": entry.why,
        "at": iso(entry.at),
        "due": None if entry.due is None else iso(entry.due),
        "asked": None
        if entry.asked is None
        else {
            "tier": entry.asked.tier,
            "names": entry.asked.names,
            "until": iso(entry.asked.until),
        },
        "joined": entry.joined,
        "next": entry.next,
        "note": entry.note,
        "urgent": entry.urgent,
        "reminder": entry.reminder,
        "on_behalf": entry.on_behalf,
        "idempotency_key": entry.idempotency_key,
        "report": None if entry.report is None else entry.report.document,
    }
