"""Events by HTTP: `POST /events`, and the guards that every page of the service stands behind.

A request is answered after the commit of its events is on disk, never before:

- 200: whatever can be taken is taken. `results` lists what was not plainly accepted. Do not send
  the request again; correct what is `rejected` or a `conflict`, and send that alone.
- 400: nothing in it could be read as an event; `results` says why.
- 409: nothing in it but ids of earlier events with other content.
- 401: no good token. 403: the page of another site is behind the request.
- 404, 405, 408, 413, 415: nothing was taken; `error` says what is accepted.
- 500, 503: nothing was taken. Send the request again, after `Retry-After` seconds.

Whatever came with 200, 400 or 409 is kept, the bad with its bytes and reason. Sending an event
twice does no harm: the second is a `duplicate`.
"""

import asyncio
import errno
import ipaddress
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, assert_never
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from schemas.events import Problem
from streams.binding import ACCEPTED_TYPES, Item, Unreadable, find_mode, split_body
from streams.outcome import (
    NAMES,
    Accepted,
    Conflict,
    Duplicate,
    Outcome,
    Parked,
    Refused,
    SetAside,
)
from streams.records import RawRecord
from streams.tokens import Denied, StoredToken, verify_token
from streams.writer import BusyError, NotTakenError, StoppedError, UnavailableError

INPUT = "http"
"""The `input` of every record that came this way."""

RETRY_AFTER = 1
"""Seconds. A commit takes milliseconds, so whoever waits that long meets another queue."""

_LARGE = 256 * 1024  # bytes; splitting more takes so long that others would notice
_OPEN_PAGES = frozenset({"/", "/health/live", "/health/ready"})

_log = logging.getLogger(__name__)

Tokens = Callable[[], Sequence[StoredToken]]
"""Every token ever made, the revoked ones too. Asked at each request, so it answers from memory."""


class Taker(Protocol):
    """Takes the records of a request, and answers once they are safe. `Writer` is one."""

    @property
    def where(self) -> str:
        """What `trouble` is with, for people."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it takes submissions."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the last submission could not be taken, or None if it could."""
        ...

    async def submit(self, records: Sequence[RawRecord]) -> list[Outcome]:
        """Take the records together: one outcome for each. Raises NotTakenError."""
        ...


_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class UnprotectedBindingError(Exception):
    """The service would stand open to others; the message says how to protect it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sender, or all of them together, can ask for."""

    body_bytes: int = 16 * 1024 * 1024
    """Of one body, unpacked."""
    events: int = 10_000
    """In one body."""
    held_bytes: int = 128 * 1024 * 1024
    """Of all bodies that are being read or wait for their commit."""
    body_seconds: float = 60.0
    """From the headers to the end of the body."""
    idle_seconds: float = 75.0
    """A connection without a complete request, and the most that headers may take."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name other than localhost may be not."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def check_binding(host: str, tokens: Iterable[StoredToken]) -> None:
    """Refuse to listen where others can reach us while nobody has to show a token.

    Raises UnprotectedBindingError.
    """
    if not is_loopback(host) and all(token.revoked_at is not None for token in tokens):
        raise UnprotectedBindingError(
            f"listening on {host or 'all addresses'} lets other machines send events, and there "
            "is no token that they would have to show. Make one with: detente token create NAME. "
            "Or listen on 127.0.0.1, where none is needed."
        )


def create_app(
    taker: Taker,
    *,
    host: str,
    tokens: Tokens,
    limits: Limits | None = None,
    routes: Iterable[web.AbstractRouteDef] = (),
    signed_pages: Collection[str] = (),
    closed: bool = False,
) -> web.Application:
    """The HTTP application. `routes` are further pages; they stand behind the same guards, except
    `signed_pages`, which refuse by themselves what does not bear a good signature.

    `host` is the address that it will listen on. A token is asked for everywhere but on loopback,
    and there too as soon as one was ever made: a proxy on this machine may forward to loopback,
    and revoking the last token must not open the door. `/` and `/health/` are open. Where there is
    no token and `closed` is true, everything else is refused until one is made; otherwise raises
    UnprotectedBindingError.
    """
    if not closed:
        check_binding(host, tokens())
    limits = limits or Limits()
    intake = _Intake(taker, limits)
    app = web.Application(
        middlewares=[_errors, _guard(host, tokens, signed_pages)], client_max_size=limits.body_bytes
    )
    app.router.add_get("/", _about)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", intake.ready)
    app.router.add_post("/events", intake.events)
    app.router.add_routes(routes)
    app.on_response_prepare.append(_trim)
    return app


class HttpServer:
    """The application, listening."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server) -> None:
        self._runner = runner
        self._server = server

    @property
    def port(self) -> int:
        """The port that it listens on, also when 0 was asked for."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Listen no more, let the requests at hand be answered, and close."""
        self._server.close()
        await self._runner.cleanup()


async def start_server(
    app: web.Application, host: str, port: int, *, limits: Limits | None = None, grace: float = 10.0
) -> HttpServer:
    """Listen on an address; port 0 finds a free one. `grace` is in seconds, for `stop`.

    Raises OSError if the address cannot be had; its `strerror` is a sentence that says which of
    host and port is at fault.
    """
    limits = limits or Limits()
    runner = web.AppRunner(app, shutdown_timeout=grace)
    await runner.setup()
    manager = runner.server
    assert manager is not None, "setup has just made it"
    loop = asyncio.get_running_loop()

    options: dict[str, Any] = {
        "access_log": None,
        "keepalive_timeout": limits.idle_seconds,
        "lingering_time": 2.0,  # so long a refused body is read, lest its sender miss the answer
    }
    try:
        server = await loop.create_server(
            lambda: _Connection(manager, loop=loop, **options), host, port, backlog=512
        )
    except (OSError, UnicodeError) as error:  # the latter for what no name of a host can be
        await runner.cleanup()
        code = error.errno if isinstance(error, OSError) else None
        raise OSError(code, _why_not_there(error, host, port)) from None
    return HttpServer(runner, server)


def _why_not_there(error: OSError | UnicodeError, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"the host {host!r} cannot be found from here. Name another with --host"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"the host {host} is no address of this machine. Name another with --host"
    reason = (error.strerror or str(error)).rpartition(": ")[2]
    return (
        f"port {port} of {host} cannot be had: {reason}. "
        "Name another with --port; 0 takes a free one"
    )


# --- answers --------------------------------------------------------------------------------------


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body) + b"\n",
        content_type="application/json",
        headers=headers,
    )


def _error(
    status: int, error: str, headers: dict[str, str] | None = None, **more: Any
) -> web.Response:
    return _json(status, {"error": error, **more}, headers)


def _try_later(why: str, taken: str = "nothing of this request was taken") -> web.Response:
    text = f"{why}; {taken}, send it again"
    return _error(503, text, {"Retry-After": str(RETRY_AFTER)})


async def _trim(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers["Server"] = "detente"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")


class _Connection(web.RequestHandler):
    """Answers what is no HTTP at all in our way: JSON, no versions, no traceback in the log."""

    __slots__ = ()

    def handle_error(
        self,
        _request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # the application answers its own errors, so this one is aiohttp's
            _log.error("A request could not be answered", exc_info=exc)
            response = _error(status, "the service could not answer")
        else:
            what = (message or "bad request").splitlines()[0]
            response = _error(status, f"this cannot be read as an HTTP request: {what}")
        response.headers["Server"] = "detente"
        response.force_close()
        return response


@web.middleware
async def _errors(request: web.Request, handler: _Next) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.method} is not possible here; accepted: {allowed}"
        return _error(405, text, {"Allow": allowed})
    except web.HTTPNotFound:
        return _error(404, f"there is no page {request.path[:200]!r}; events go to POST /events")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _error(error.status, error.reason)
    except Exception:  # noqa: BLE001 - logged; the sender gets an answer, never a traceback
        _log.exception("%s %s failed", request.method, request.path)
        return _error(500, "the service failed; what happened is in its log")


async def _about(_request: web.Request) -> web.Response:
    return _json(
        200,
        {
            "name": "detente",
            "what": "notices conflicts with partners in order, delivery and ticket events",
            "send events to": "POST /events",
            "accepted": ACCEPTED_TYPES,
            "health": ["/health/live", "/health/ready"],
        },
    )


async def _live(_request: web.Request) -> web.Response:
    return _json(200, {"live": True})


# --- guards ---------------------------------------------------------------------------------------


def _guard(host: str, tokens: Tokens, signed_pages: Collection[str]) -> Any:
    loopback = is_loopback(host)
    open_pages = _OPEN_PAGES.union(signed_pages)

    @web.middleware
    async def guard(request: web.Request, handler: _Next) -> web.StreamResponse:
        if request.path in open_pages:
            return await handler(request)
        stored = tokens()
        refused = _foreign_page(request)
        if refused is None and (stored or not loopback):
            refused = _without_token(request, stored)
        elif refused is None:
            refused = _rebound_name(request)
        return refused or await handler(request)

    return guard


def _host(request: web.Request) -> str:
    return request.headers.get("Host", "").lower()  # request.host would ask the DNS for our name


def _foreign_page(request: web.Request) -> web.Response | None:
    """A browser says in Origin whose page sends a request; ours are served under our own name."""
    origin = request.headers.get("Origin")
    if origin is None:
        return None
    with suppress(ValueError):
        if urlsplit(origin).netloc.lower() == _host(request) != "":
            return None
    return _error(403, f"requests from pages of {origin[:200]!r} are not accepted")


def _rebound_name(request: web.Request) -> web.Response | None:
    """Any site can let its name point to 127.0.0.1; then the browser still sends that name."""
    with suppress(ValueError):
        if is_loopback(urlsplit(f"//{_host(request)}").hostname or ""):
            return None
    text = (
        f"the Host header names {_host(request)[:200]!r}; without a token only localhost, "
        "127.0.0.1 and [::1] are accepted. Make a token with: detente token create NAME"
    )
    return _error(403, text)


def _without_token(request: web.Request, stored: Sequence[StoredToken]) -> web.Response | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    challenge = "Bearer"
    if scheme.lower() != "bearer" or not token.strip():
        text = "a token is needed: send the header Authorization: Bearer TOKEN"
    else:
        match verify_token(token.strip(), stored):
            case StoredToken():
                return None
            case Denied.UNKNOWN:
                text = "this token is not known here"
            case Denied.REVOKED:
                text = "this token was revoked"
            case other:
                assert_never(other)
        challenge = 'Bearer error="invalid_token"'
    return _error(401, text, {"WWW-Authenticate": challenge})


# --- events ---------------------------------------------------------------------------------------


class _Intake:
    def __init__(self, taker: Taker, limits: Limits) -> None:
        self._taker = taker
        self._limits = limits
        self._numbers = itertools.count(1)
        self._held = 0

    async def ready(self, _request: web.Request) -> web.Response:
        if not self._taker.is_open:
            return _json(503, {"ready": False, "why": "the service is not running"})
        if self._taker.trouble is not None:
            why = f"{self._taker.where} cannot be written to"
            return _json(503, {"ready": False, "why": why})
        return _json(200, {"ready": True})

    async def events(self, request: web.Request) -> web.Response:
        mode = find_mode(request.content_type, request.charset, request.headers)
        if isinstance(mode, str):
            return _error(415, mode, accepted=ACCEPTED_TYPES)
        body = bytearray()
        try:
            refused = await self._read(request, body)
            if refused is not None:
                refused.force_close()
                return refused
            split = partial(
                split_body, mode, request.headers.items(), bytes(body), self._limits.events
            )
            return await self._take(
                await asyncio.to_thread(split) if len(body) > _LARGE else split()
            )
        finally:
            self._held -= len(body)

    async def _read(self, request: web.Request, body: bytearray) -> web.Response | None:
        """Read the body, within all limits, or say why not."""
        most = self._limits.body_bytes
        too_large = _error(413, f"a body has {most} bytes at most; send fewer events in one")
        if (request.content_length or 0) > most:
            return too_large
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > most:
                        return too_large
                    if self._held > self._limits.held_bytes:
                        return _try_later("too many requests at once")
        except TimeoutError:
            seconds = self._limits.body_seconds
            return _error(408, f"the body did not arrive within {seconds:g} seconds")
        except (web.RequestPayloadError, ConnectionError):
            return _error(400, "the body breaks off, or is not in the encoding that it announces")
        return None

    async def _take(self, items: list[Item] | Unreadable) -> web.Response:
        whole: Problem | None = None
        if isinstance(items, Unreadable):
            whole = items.problem
            items = [Item("", items.value)]
        if len(items) > self._limits.events:
            return _error(
                413, f"a body has {self._limits.events} events at most; nothing was taken"
            )
        number = next(self._numbers)
        records = [
            RawRecord(INPUT, ", ".join(filter(None, (f"request {number}", item.place))), item.value)
            for item in items
        ]
        try:
            outcomes = await self._taker.submit(records)
        except BusyError:
            return _try_later("too many events wait")
        except StoppedError:
            return _try_later("the service is stopping")
        except UnavailableError as error:
            return _try_later(error.what, error.taken)
        except NotTakenError:
            text = "the service failed and took nothing of this request; its log says why"
            return _error(500, text, {"Retry-After": str(RETRY_AFTER)})
        return _report(records, outcomes, whole)


def _report(
    records: Sequence[RawRecord], outcomes: Sequence[Outcome], whole: Problem | None
) -> web.Response:
    """Count the outcomes, list those that are not plain, and choose the status."""
    counts = dict.fromkeys(NAMES.values(), 0)
    results = []
    for index, (record, outcome) in enumerate(zip(records, outcomes, strict=True)):
        name = NAMES[type(outcome)]
        counts[name] += 1
        if name != "accepted":
            about = {"index": index, "position": record.position, "outcome": name}
            results.append(about | _explained(outcome, whole))
    fine = len(outcomes) - counts["rejected"] - counts["conflict"]
    status = 200 if fine or not outcomes else 400 if counts["rejected"] else 409
    return _json(status, {**counts, "results": results})


def _explained(outcome: Outcome, whole: Problem | None) -> dict[str, Any]:
    match outcome:
        case Accepted() | Duplicate():
            return {}
        case Conflict(reason) | SetAside(reason) | Parked(reason):
            return {"reason": reason}
        case Refused(reason, problems):
            if whole is not None:  # about the body as it came, so nearer to what the sender sees
                reason, problems = str(whole), (whole,)
            listed = [{"path": p.path, "expected": p.expected} for p in problems]
            return {"reason": reason, "problems": listed}
        case _:
            assert_never(outcome)
