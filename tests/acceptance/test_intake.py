"""Events by HTTP, through a real server on loopback, into a handler that records its batches."""

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from schemas.events import Malformed, UnknownType, parse_event
from schemas.time import Instant
from streams.intake import (
    HttpServer,
    Limits,
    UnprotectedBindingError,
    check_binding,
    create_app,
    is_loopback,
    start_server,
)
from streams.outcome import Accepted, Conflict, Duplicate, Outcome, Parked, Refused, SetAside
from streams.records import RawRecord
from streams.tokens import StoredToken, generate_token, hash_token
from streams.writer import Writer

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class Memory:
    """The protocol of the handler over a dict: parses, finds duplicates, keeps what is bad.

    With `gate` cleared a commit stands still; with `error` set it fails.
    """

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.taken: dict[tuple[str, str], bytes] = {}
        self.kept: list[RawRecord] = []
        self.batches: list[list[RawRecord]] = []

    def take(self, records: Sequence[RawRecord], now: Instant) -> list[Outcome]:
        self.began.release()
        self.gate.wait()
        if self.error is not None:
            raise self.error
        outcomes = [self._take(record) for record in records]
        self.batches.append(list(records))
        return outcomes

    def _take(self, record: RawRecord) -> Outcome:
        event = parse_event(record.value)
        if isinstance(event, Malformed):
            self.kept.append(record)
            return Refused(str(event), event.problems)
        if isinstance(event, UnknownType):
            self.kept.append(record)
            return SetAside(str(event))
        if event.type == "case.acknowledged":
            return Parked("no such case yet")
        known = self.taken.setdefault((event.source, event.id), record.value)
        if known is record.value:
            return Accepted()
        return Duplicate() if known == record.value else Conflict("the id has other content")

    async def begun(self) -> None:
        await asyncio.to_thread(self.began.acquire)


class WatchedWriter(Writer):
    """Tells a test that a submission has come to its queue."""

    async def submit(self, records: Sequence[RawRecord]) -> list[Outcome]:
        self.submitted.release()
        return await super().submit(records)

    async def start(self) -> None:
        self.submitted = asyncio.Semaphore(0)
        await super().start()


class Service:
    """A running service and a client for it."""

    def __init__(
        self, memory: Memory, writer: WatchedWriter, server: HttpServer, client: Any
    ) -> None:
        self.memory = memory
        self.writer = writer
        self.server = server
        self.client: aiohttp.ClientSession = client

    async def post(
        self, body: Any, content_type: str | None = ONE, **headers: str
    ) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type:
            named["Content-Type"] = content_type
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", "/events", data=data, headers=named)

    async def request(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self.client.request(method, path, **more) as response:
            assert response.headers["Server"] == "detente"
            assert response.content_type == "application/json"
            text = await response.text()
            assert "Traceback" not in text
            if response.status == 503 and "error" in text:
                assert int(response.headers["Retry-After"]) > 0
            return response.status, json.loads(text)

    async def raw(self, text: bytes) -> tuple[int, Any]:
        """Send bytes as they are and read until the service closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(text)
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"Server: detente\r\n" in head + b"\r\n"
        return int(head.split()[1]), json.loads(body)


@asynccontextmanager
async def serve(
    *,
    host: str = "127.0.0.1",
    tokens: Callable[[], Sequence[StoredToken]] = list,
    limits: Limits | None = None,
    max_waiting: int = 20_000,
    routes: Sequence[web.AbstractRouteDef] = (),
) -> AsyncIterator[Service]:
    memory = Memory()
    writer = WatchedWriter(memory, lambda: Instant(0), max_waiting=max_waiting)
    await writer.start()
    app = create_app(writer, host=host, tokens=tokens, limits=limits, routes=routes)
    server = await start_server(app, "127.0.0.1", 0, limits=limits)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield Service(memory, writer, server, client)
    memory.gate.set()
    await server.stop()
    assert await writer.stop(60)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serve() as running:
        yield running


def order(id_: str, quantity: str = "1") -> bytes:
    return (
        f'{{"specversion":"1.0","id":"{id_}","source":"/erp","type":"order.placed",'
        '"time":"2026-11-01T10:00:00+01:00","data":{"partner_id":"P","order_id":"O",'
        f'"promised_at":"2026-11-09","lines":[{{"sku":"S","quantity":{quantity}}}]}}}}'
    ).encode()


def summary(answer: dict[str, Any]) -> dict[str, int]:
    return {name: n for name, n in answer.items() if name != "results" and n}


# --- what is taken --------------------------------------------------------------------------------


async def test_one_event(service: Service) -> None:
    assert await service.post(order("a")) == (
        200,
        {
            "accepted": 1,
            "duplicate": 0,
            "rejected": 0,
            "conflict": 0,
            "set_aside": 0,
            "parked": 0,
            "results": [],
        },
    )
    assert service.memory.batches == [[RawRecord("http", "request 1", order("a"))]]


async def test_a_batch_keeps_every_digit(service: Service) -> None:
    events = [order("a", "0.10"), order("b", "1E2"), order("c", "123456789012.345678")]
    status, answer = await service.post(b"[" + b" ,\n".join(events) + b"]", BATCH)
    assert (status, summary(answer)) == (200, {"accepted": 3})
    assert [record.value for record in service.memory.batches[0]] == events
    assert [r.position for r in service.memory.batches[0]] == [
        "request 1, item 1",
        "request 1, item 2",
        "request 1, item 3",
    ]


async def test_binary_mode(service: Service) -> None:
    event = json.loads(order("a b"))
    status, answer = await service.post(
        event["data"],
        "application/json; charset=utf-8",
        ce_specversion="1.0",
        ce_id="a%20b",
        ce_source="/erp",
        ce_type="order.placed",
        ce_time=event["time"],
    )
    assert (status, summary(answer)) == (200, {"accepted": 1})
    assert list(service.memory.taken) == [("/erp", "a b")]


async def test_lines_and_compressed_bodies(service: Service) -> None:
    body = order("a") + b"\n\n" + order("b") + b"\r\n"
    assert (await service.post(body, "application/x-ndjson"))[0] == 200
    status, answer = await service.post(gzip.compress(order("c")), Content_Encoding="gzip")
    assert (status, summary(answer)) == (200, {"accepted": 1})
    assert [event for _, event in service.memory.taken] == ["a", "b", "c"]


async def test_good_neighbours_are_taken_and_the_bad_are_named(service: Service) -> None:
    await service.post(order("old"))
    unknown = order("u").replace(b"order.placed", b"order.sung")
    command = (
        b'{"specversion":"1.0","id":"k","source":"/me","type":"case.acknowledged",'
        b'"time":"2026-11-01T10:00:00Z","data":{"case_id":"C","actor":"ana"}}'
    )
    bad = [order("n", "-1"), b'{"a":NaN,}', b"[" * 5_000 + b"]" * 5_000]
    good = [order("a"), order("b")]
    items = [good[0], *bad, order("old"), order("old", "2"), unknown, command, good[1]]
    status, answer = await service.post(b"[" + b",".join(items) + b"]", BATCH)
    assert status == 200
    assert summary(answer) == {
        "accepted": 2,
        "rejected": 3,
        "duplicate": 1,
        "conflict": 1,
        "set_aside": 1,
        "parked": 1,
    }
    results = {result["index"]: result for result in answer["results"]}
    assert {index: result["outcome"] for index, result in results.items()} == {
        1: "rejected",
        2: "rejected",
        3: "rejected",
        4: "duplicate",
        5: "conflict",
        6: "set_aside",
        7: "parked",
    }
    assert results[1]["position"] == "request 2, item 2"
    assert results[1]["problems"][0]["path"] == "data.lines[0].quantity"
    assert "found -1" in results[1]["problems"][0]["expected"]
    assert "recursion" in results[3]["problems"][0]["expected"]
    assert "order.sung" in results[6]["reason"]
    assert [record.value for record in service.memory.kept] == [*bad, unknown]


@pytest.mark.parametrize(
    ("body", "content_type", "path", "expected"),
    [
        (order("a", "-1"), ONE, "data.lines[0].quantity", "greater than or equal to 0"),
        (order("a").replace(b"+01:00", b""), ONE, "time", "UTC offset"),
        (order("a").replace(b"2026-11-01", b"9999-11-01"), ONE, "time", "less than"),
        (b"", ONE, "", "not valid JSON"),
        (b'{"id": "\xff"}', ONE, "", "line 1 column 9"),
        (b"[" * 100_000, ONE, "", "byte 100000"),
        (b'{"a":' * 10_000, ONE, "", "recursion limit exceeded at line 1"),
        (b"[" + order("a"), BATCH, "", "ends before its ]; see byte"),
        (b"[" + order("a") + b"] x", BATCH, "", "something follows the array; see byte"),
    ],
    ids=[
        "negative quantity",
        "naive time",
        "year 9999",
        "empty",
        "invalid UTF-8",
        "deep arrays",
        "deep objects",
        "truncated",
        "more after the array",
    ],
)
async def test_what_is_no_event_is_refused_with_its_place_and_kept(
    service: Service, body: bytes, content_type: str, path: str, expected: str
) -> None:
    status, answer = await service.post(body, content_type)
    assert (status, summary(answer)) == (400, {"rejected": 1})
    (result,) = answer["results"]
    assert result["problems"][0]["path"] == path
    assert expected in result["problems"][0]["expected"]
    assert [record.value for record in service.memory.kept] == [body]


async def test_binary_data_that_breaks_out_of_its_place_is_refused(service: Service) -> None:
    status, answer = await service.post(
        b'{}, "type": "order.placed"', "application/json", ce_specversion="1.0", ce_id="a"
    )
    assert status == 400
    assert answer["results"][0]["problems"][0]["path"] == "data"
    assert len(service.memory.kept) == 1


async def test_only_conflicts_are_a_409_and_an_empty_batch_is_fine(service: Service) -> None:
    await service.post(order("a"))
    assert (await service.post(order("a", "2")))[0] == 409
    status, answer = await service.post(b"[]", BATCH)
    assert (status, summary(answer)) == (200, {})


# --- what an answer proves ------------------------------------------------------------------------


async def test_an_answer_comes_after_the_commit_and_requests_share_one(service: Service) -> None:
    memory = service.memory
    memory.gate.clear()
    first = asyncio.create_task(service.post(order("first")))
    await memory.begun()
    await service.writer.submitted.acquire()
    others = [asyncio.create_task(service.post(order(f"o{n}"))) for n in range(20)]
    for _ in others:
        await service.writer.submitted.acquire()
    assert not any(task.done() for task in (first, *others))
    memory.gate.set()
    for task in asyncio.as_completed([first, *others]):
        assert (await task)[0] == 200
    assert [len(batch) for batch in memory.batches] == [1, 20]


async def test_each_answered_event_was_in_a_committed_batch(service: Service) -> None:
    async def client(n: int) -> None:
        for m in range(10):
            status, answer = await service.post(order(f"{n}-{m}"))
            committed = [record.value for batch in service.memory.batches for record in batch]
            assert (status, answer["accepted"]) == (200, 1)
            assert committed.count(order(f"{n}-{m}")) == 1

    await asyncio.gather(*(client(n) for n in range(10)))
    assert len(service.memory.taken) == 100


async def test_a_client_that_leaves_before_the_answer_can_ask_again(service: Service) -> None:
    memory = service.memory
    memory.gate.clear()
    leaves = asyncio.create_task(service.post(order("a")))
    await memory.begun()
    stays = asyncio.create_task(service.post(order("b")))
    leaves.cancel()
    memory.gate.set()
    assert (await stays)[0] == 200
    assert leaves.cancelled()
    status, answer = await service.post(order("a"))
    assert (status, summary(answer)) == (200, {"duplicate": 1})
    assert len(memory.taken) == 2


async def test_a_body_that_breaks_off_is_not_taken(service: Service) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
    writer.write(
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n"
        b"Content-Type: application/x-ndjson\r\n\r\n" + order("half") + b"\n"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await service.post(order("whole")))[0] == 200
    assert [event for _, event in service.memory.taken] == ["whole"]


async def test_trouble_with_the_store_is_a_503_and_nothing_is_taken(service: Service) -> None:
    assert await service.request("GET", "/health/ready") == (200, {"ready": True})
    service.memory.error = OSError(28, "No space left on device")
    status, answer = await service.post(order("a"))
    assert status == 503
    assert "nothing of this request was taken" in answer["error"]
    assert "No space" not in answer["error"]
    status, answer = await service.request("GET", "/health/ready")
    assert (status, answer["why"]) == (503, "the database cannot be written to")
    service.memory.error = None
    assert summary((await service.post(order("a")))[1]) == {"accepted": 1}
    assert (await service.request("GET", "/health/ready"))[0] == 200


async def test_an_unforeseen_error_is_a_500_without_its_details(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.memory.error = KeyError("secret")
    status, answer = await service.post(order("a"))
    assert status == 500
    assert "secret" not in json.dumps(answer)
    assert "secret" in caplog.text
    service.memory.error = None
    assert (await service.post(order("a")))[0] == 200


async def test_a_full_queue_is_a_503_and_a_stopped_writer_too() -> None:
    async with serve(max_waiting=1) as service:
        service.memory.gate.clear()
        first = asyncio.create_task(service.post(order("a")))
        await service.memory.begun()
        await service.writer.submitted.acquire()
        second = asyncio.create_task(service.post(order("b")))
        await service.writer.submitted.acquire()
        assert (await service.post(order("c")))[0] == 503
        service.memory.gate.set()
        assert [(await first)[0], (await second)[0]] == [200, 200]
        assert await service.writer.stop(60)
        assert (await service.post(order("d")))[0] == 503
        assert (await service.request("GET", "/health/ready"))[0] == 503
        assert (await service.request("GET", "/health/live"))[0] == 200
        assert list(service.memory.taken) == [("/erp", "a"), ("/erp", "b")]


# --- limits ---------------------------------------------------------------------------------------

SMALL = Limits(body_bytes=2_000, events=3, held_bytes=3_000, body_seconds=0.05)


async def test_bodies_and_batches_have_a_largest_size() -> None:
    async with serve(limits=SMALL) as service:
        status, answer = await service.post(b" " * 2_001)
        assert (status, "2000 bytes at most" in answer["error"]) == (413, True)

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b" " * 1_000

        status, _ = await service.request(
            "POST", "/events", data=chunks(), headers={"Content-Type": ONE}
        )
        assert status == 413
        bomb = gzip.compress(b" " * 100_000)
        assert len(bomb) < 2_000
        assert (await service.post(bomb, Content_Encoding="gzip"))[0] == 413
        status, answer = await service.post(b"[1,2,3,4]", BATCH)
        assert (status, "3 events at most" in answer["error"]) == (413, True)
        assert service.memory.batches == []
        assert (await service.post(order("a")))[0] == 200


async def test_bodies_that_wait_for_their_commit_have_a_largest_sum() -> None:
    async with serve(limits=SMALL) as service:
        service.memory.gate.clear()
        first = asyncio.create_task(service.post(order("a") + b" " * 1_500))
        await service.memory.begun()
        assert (await service.post(order("b") + b" " * 1_500))[0] == 503
        service.memory.gate.set()
        assert (await first)[0] == 200
        assert (await service.post(order("b") + b" " * 1_500))[0] == 200


async def test_a_body_that_trickles_is_given_up() -> None:
    async with serve(limits=SMALL) as service:
        status, answer = await service.raw(
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
            b"Content-Type: application/x-ndjson\r\n\r\n{"
        )
        assert (status, "within 0.05 seconds" in answer["error"]) == (408, True)
        assert service.memory.batches == []


async def test_headers_that_never_end_are_given_up() -> None:
    async with serve(limits=Limits(idle_seconds=0.05)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.server.port)
        writer.write(b"POST /events HTTP/1.1\r\nHost: loc")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["TLS", "bad length", "long line"],
)
async def test_what_is_no_http_gets_a_clear_answer(
    service: Service, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, answer = await service.raw(text + b"\r\n\r\n")
    assert (status, "HTTP" in answer["error"]) == (400, True)
    assert caplog.text == ""


async def test_a_broken_compression_is_a_400(service: Service) -> None:
    status, answer = await service.post(b"\x1f\x8b this is no gzip", Content_Encoding="gzip")
    assert status == 400
    assert "error" in answer
    assert service.memory.batches == []


@pytest.mark.parametrize(
    ("content_type", "wrong"),
    [
        ("text/plain", "'text/plain'"),
        ("application/json", "ce-specversion"),
        ("application/cloudevents+json; charset=utf-16", "'utf-16'"),
        (None, "octet-stream"),
    ],
)
async def test_another_content_type_is_told_the_accepted_ones(
    service: Service, content_type: str | None, wrong: str
) -> None:
    status, answer = await service.post(order("a"), content_type)
    assert status == 415
    assert wrong in answer["error"]
    assert any(BATCH in accepted for accepted in answer["accepted"])


async def test_other_pages_and_methods(service: Service) -> None:
    status, answer = await service.request("GET", "/nothing")
    assert (status, "'/nothing'" in answer["error"]) == (404, True)
    status, answer = await service.request("GET", "/events")
    assert (status, answer["error"]) == (405, "GET is not possible here; accepted: POST")
    assert (await service.request("OPTIONS", "/events"))[0] == 405
    assert (await service.request("GET", "/"))[1]["name"] == "detente"
    assert await service.request("GET", "/health/live") == (200, {"live": True})


async def test_further_pages_stand_behind_the_same_guards() -> None:
    async def cases(request: web.Request) -> web.Response:
        if "fail" in request.query:
            raise ZeroDivisionError
        return web.json_response(["one case"])

    async with serve(routes=[web.get("/cases", cases)]) as service:
        assert await service.request("GET", "/cases") == (200, ["one case"])
        assert (await service.request("GET", "/cases?fail=1"))[0] == 500
        foreign = {"Origin": "https://evil.example"}
        assert (await service.request("GET", "/cases", headers=foreign))[0] == 403


# --- who may ask ----------------------------------------------------------------------------------


def stored(name: str, token: str, revoked_at: Instant | None = None) -> StoredToken:
    return StoredToken(name, hash_token(token), Instant(0), revoked_at)


async def test_tokens_are_asked_for_and_can_be_revoked_while_it_runs() -> None:
    first, second = generate_token(), generate_token()
    known = [stored("erp", first), stored("wms", second)]
    async with serve(host="0.0.0.0", tokens=lambda: known) as service:
        status, answer = await service.post(order("a"))
        assert (status, "Authorization: Bearer" in answer["error"]) == (401, True)
        assert (await service.post(order("a"), Authorization=f"Basic {first}"))[0] == 401
        status, answer = await service.post(order("a"), Authorization=f"Bearer {first}x")
        assert (status, answer["error"]) == (401, "this token is not known here")
        assert (await service.post(order("a"), Authorization=f"Bearer {first}"))[0] == 200
        assert (await service.post(order("b"), Authorization=f"bearer {second}"))[0] == 200
        known[0] = stored("erp", first, revoked_at=Instant(9))
        status, answer = await service.post(order("c"), Authorization=f"Bearer {first}")
        assert (status, answer["error"]) == (401, "this token was revoked")
        assert (await service.post(order("c"), Authorization=f"Bearer {second}"))[0] == 200
        headers = {"Host": "detente.example", "Authorization": f"Bearer {second}"}
        assert (await service.post(order("d"), **headers))[0] == 200
        assert (await service.request("GET", "/health/live"))[0] == 200
        assert (await service.request("GET", "/nothing"))[0] == 401


async def test_on_loopback_a_token_is_asked_for_once_there_ever_was_one() -> None:
    token = generate_token()
    known: list[StoredToken] = []
    async with serve(tokens=lambda: known) as service:
        assert (await service.post(order("a")))[0] == 200
        known.append(stored("erp", token))
        assert (await service.post(order("b")))[0] == 401
        known[0] = stored("erp", token, revoked_at=Instant(9))
        assert (await service.post(order("b")))[0] == 401, "revoking must not open the door"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8080"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "["},
    ],
    ids=str,
)
async def test_web_pages_of_other_sites_cannot_send_events(
    service: Service, headers: dict[str, str]
) -> None:
    status, _ = await service.post(order("a"), **headers)
    assert status == 403
    assert service.memory.batches == []


async def test_our_own_pages_and_names_may_send_events(service: Service) -> None:
    here = f"localhost:{service.server.port}"
    assert (await service.post(order("a"), Host=here, Origin=f"http://{here}"))[0] == 200
    assert (await service.post(order("b"), Host="[::1]:80"))[0] == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_on_loopback_no_token_is_needed(host: str) -> None:
    assert is_loopback(host)
    check_binding(host, [])


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.7", "::ffff:10.0.0.7", "shop.example"]
)
def test_elsewhere_the_service_refuses_to_start_without_a_token(host: str) -> None:
    token = generate_token()
    revoked = stored("erp", token, revoked_at=Instant(1))
    for known in ([], [revoked]):
        with pytest.raises(UnprotectedBindingError, match="detente token create NAME"):
            check_binding(host, known)
    check_binding(host, [revoked, stored("wms", token)])
    writer = Writer(Memory(), lambda: Instant(0))
    with pytest.raises(UnprotectedBindingError):
        create_app(writer, host=host, tokens=list)


async def test_stopping_lets_the_request_at_hand_be_answered() -> None:
    async with serve() as service:
        service.memory.gate.clear()
        last = asyncio.create_task(service.post(order("a")))
        await service.memory.begun()
        stopping = asyncio.create_task(service.server.stop())
        await asyncio.sleep(0)
        service.memory.gate.set()
        assert (await last)[0] == 200
        await stopping
        with pytest.raises(aiohttp.ClientConnectionError):
            await service.post(order("b"))
