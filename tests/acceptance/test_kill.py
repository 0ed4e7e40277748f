"""`kill -9` of the serving process under load, restarted, again and again.

Whatever was answered is there once; every effect reaches its person at least once, each time under
the same key.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from schemas.time import to_datetime
from streams.store import DeliveryStatus, OutboxStatus, Store

BATCH = "application/cloudevents-batch+json"
SENDERS = 6
WAIT = 60.0  # seconds; a bound for what hangs, never a measure
POLICY = """
partner_tiers: [standard]
rules:
  - {name: order-impact, when: {impact: "> 5%"}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 1000d}
    management: {notify: partnership_manager, acknowledge_within: 1000d}
    executive: {notify: executive_sponsor, acknowledge_within: 1000d}
calendars:
  default: {timezone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
bundling: {window: 1min, more_than: 1000000}
"""
PERSON = "  {0}: {{name: {0}, routes: [{{kind: webhook, url: '{1}', secret_env: HOOK_SECRET}}]}}\n"
ROLES = {
    "account_manager": "anna",
    "partnership_manager": "claire",
    "executive_sponsor": "david",
    "operations": "desk",
}


class Receiver:
    """Where webhooks arrive: every entry with its key, counted."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.counted = Progress()

    async def take(self, request: web.Request) -> web.Response:
        message = await request.json()
        assert request.headers["Idempotency-Key"] == message["idempotency_key"]
        for entry in message["entries"]:
            self.keys[message["person"]["id"], entry["effect_id"]].append(entry["idempotency_key"])
        self.counted.add()
        return web.Response()


class Progress:
    """A count that others can wait for."""

    def __init__(self) -> None:
        self.n = 0
        self._moved = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self) -> None:
        self.n += 1
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def reach(self, n: int) -> None:
        async with self._moved, asyncio.timeout(WAIT):
            await self._moved.wait_for(lambda: self.n >= n)


class Serving:
    """A `detente serve` that is started and killed; `up` is set while it listens at `url`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.up = asyncio.Event()
        self.url = ""
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "detente", "serve", "--port", "0"),
            cwd=self.folder,
            env=os.environ | {"HOOK_SECRET": "s3cret"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT):
            while line := (await self.process.stdout.readline()).decode():
                if found := re.match(r"Listening: (\S+)", line):
                    self.url = found[1]
                    self.up.set()
                    return
        raise AssertionError(f"it ended with {await self.process.wait()}")

    async def end(self, number: signal.Signals) -> int:
        self.up.clear()
        self.process.send_signal(number)
        _, _ = await asyncio.wait_for(self.process.communicate(), WAIT)
        assert self.process.returncode is not None
        return self.process.returncode


def order(name: str) -> list[dict[str, Any]]:
    """An order and what is wrong with it: a case, told to two people."""
    about = {"partner_id": "acme", "order_id": name}
    time = "2026-11-02T10:00:00Z"
    promised = "2099-01-01T00:00:00Z"
    lines = [{"sku": "coffee", "quantity": 100}]
    short = [{"sku": "coffee", "quantity": 8}]
    bodies = {
        "order.placed": about | {"promised_at": promised, "lines": lines},
        "order.impacted": about | {"kind": "short", "lines": short},
    }
    return [
        {"specversion": "1.0", "id": f"{name}-{type_}", "source": "/erp", "type": type_,
         "time": time, "data": data}
        for type_, data in bodies.items()
    ]  # fmt: skip


async def send(serving: Serving, session: aiohttp.ClientSession, name: str) -> None:
    """Send an order until it is answered, as a sender does that must not lose anything."""
    body = json.dumps(order(name))
    async with asyncio.timeout(WAIT):
        while True:
            await serving.up.wait()
            try:
                async with session.post(
                    f"{serving.url}/events", data=body, headers={"Content-Type": BATCH}
                ) as answer:
                    said = await answer.json()
            except (aiohttp.ClientError, ConnectionError):
                continue
            if answer.status == 200:
                assert said["accepted"] + said["duplicate"] == 2, said
                return


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield receiver, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("seed", [1])
async def test_nothing_answered_is_lost_and_everybody_is_told(
    seed: int, tmp_path: Path, thorough: bool
) -> None:
    random = Random(seed)
    kills = 60 if thorough else 3
    answered, names, enough = Progress(), list[str](), asyncio.Event()
    async with receiving() as (receiver, hook), aiohttp.ClientSession() as session:
        (tmp_path / "policy.yaml").write_text(POLICY)
        people = "".join(PERSON.format(person, hook) for person in ROLES.values())
        (tmp_path / "directory.yaml").write_text(f"people:\n{people}roles: {json.dumps(ROLES)}\n")
        serving = Serving(tmp_path)

        async def sender(number: int) -> None:
            count = 0
            while not enough.is_set():
                count += 1
                await send(serving, session, name := f"PO-{number}-{count}")
                names.append(name)
                answered.add()

        async with asyncio.TaskGroup() as senders:
            for number in range(SENDERS):
                senders.create_task(sender(number))
            for _ in range(kills):
                await serving.start()
                # At a random moment: so many answers, or so many messages, after the start.
                counted = random.choice([answered, receiver.counted])
                await counted.reach(counted.n + random.randint(0, 40))
                assert await serving.end(signal.SIGKILL) == -signal.SIGKILL
            await serving.start()
            enough.set()

        with Store.open(f"sqlite:///{tmp_path / 'detente.db'}", create=False) as store:
            with store.reading() as tx:
                effects = [entry.effect.effect_id for entry in tx.list_outbox()]
            while not {effect for _, effect in receiver.keys} >= set(effects):
                await receiver.counted.reach(receiver.counted.n + 1)
            assert await serving.end(signal.SIGTERM) == 0
            with store.reading() as tx:
                accepted = tx.counters("accepted")[0].n
                cases = {case.subject.rsplit(":", 1)[-1]: case for case in tx.list_cases()}
                journals = {name: tx.journal(case.subject) for name, case in cases.items()}
                outbox = tx.list_outbox()
                sent = [
                    row.idempotency_key
                    for case in cases.values()
                    for row in tx.deliveries_of(case.case_id)
                    if row.status is DeliveryStatus.SENT
                ]
                alive = tx.setting("last_alive")

    assert len(names) == len(set(names)) == answered.n
    assert cases.keys() == set(names)
    assert accepted == 2 * len(names)
    for name, journal in journals.items():
        assert sorted(e.event_id for e in journal) == sorted(event["id"] for event in order(name))
    # An alert for management and a notice for the tier below.
    assert len(effects) == len(set(effects)) == 2 * len(names)
    assert {entry.status for entry in outbox} == {OutboxStatus.SENT}
    assert len(receiver.keys) == len(effects)
    assert all(len(set(keys)) == 1 for keys in receiver.keys.values())
    assert sorted(sent) == sorted(keys[0] for keys in receiver.keys.values())
    assert alive is not None
    assert to_datetime(int(alive)).year >= 2026
