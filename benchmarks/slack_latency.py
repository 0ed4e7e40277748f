"""From an event to the request that Slack gets: the embedded service, and a Slack on loopback.

A hundred events a second come by HTTP, one request each, as a helpdesk or ERP sends them; five of a
hundred are damage that opens a case. Slack takes one message a second in a channel, so a figure for
the way there needs a house like a real one: each partner has a channel in which its account manager
and its partnership manager read, and the trouble goes round among the partners. How long a message
waits for its turn in a channel that had one within the second is Slack's figure and not ours.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from schemas.time import DAY, Instant, iso
from tests.fakes.slack import SlackServer

PER_SECOND, CONFLICTS = 100, 5
PARTNERS = 500
_POLICY = """
rules:
  - {name: order-impact, when: {impact: "> 5%"}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h}
    executive: {notify: executive_sponsor, acknowledge_within: 1h}
partner_tiers: [standard]
calendars:
  default: {timezone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
"""
#: Seconds to wait for the last messages.
_PATIENCE = 20.0


def _channel(partner: int) -> str:
    return f"C0{partner:05}"


def _directory() -> dict[str, Any]:
    people: dict[str, Any] = {}
    partners: dict[str, Any] = {}
    for n in range(PARTNERS):
        route = {"kind": "slack", "channel": _channel(n)}
        people |= {
            f"{role}-{n}": {"name": f"{role} {n}", "routes": [route]} for role in ("am", "pm")
        }
        roles = {"account_manager": f"am-{n}", "partnership_manager": f"pm-{n}"}
        partners[f"partner-{n}"] = {"tier": "standard", "roles": roles}
    people["desk"] = {"name": "Desk", "routes": [{"kind": "terminal"}]}
    roles = dict.fromkeys(("executive_sponsor", "operations"), "desk")
    return {"people": people, "partners": partners, "roles": roles}


@dataclass
class _Run:
    """One stream of events, and when each conflict was posted."""

    session: aiohttp.ClientSession
    url: str
    posted: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    _ids: count = field(default_factory=count)  # type: ignore[type-arg]  # of int, as ever

    async def send(self, number: int) -> None:
        """The event with that number: an order, or damage to the one placed a second before."""
        place, turn = divmod(number, PER_SECOND // CONFLICTS)
        if turn == 0 and place >= CONFLICTS:
            order = f"PO-{number - PER_SECOND + 1}"
            data = {"kind": "damaged", "quantity": 50}
            self.posted[order] = time.time()
            await self._post("order.impacted", order, place - CONFLICTS, data)
        else:
            lines = [{"sku": "lamp", "quantity": 100}]
            promised = iso(Instant(int(time.time() * 1e6) + 30 * DAY))
            partner = place if turn == 1 else number
            data = {"promised_at": promised, "lines": lines}
            await self._post("order.placed", f"PO-{number}", partner, data)

    async def _post(self, kind: str, order: str, partner: int, data: dict[str, Any]) -> None:
        event = {
            "specversion": "1.0",
            "id": f"e{next(self._ids)}",
            "source": "/erp",
            "type": kind,
            "time": iso(Instant(int(time.time() * 1e6))),
            "data": {"partner_id": f"partner-{partner % PARTNERS}", "order_id": order} | data,
        }
        headers = {"Content-Type": "application/cloudevents+json"}
        async with self.session.post(self.url, data=json.dumps(event), headers=headers) as answer:
            self.refused += answer.status >= 300


async def _measure(seconds: int) -> dict[str, Any]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policy.yaml").write_text(_POLICY)
        (folder / "directory.yaml").write_text(json.dumps(_directory()))
        async with SlackServer(time.time) as slack, aiohttp.ClientSession() as session:
            for n in range(PARTNERS):
                slack.channel(_channel(n))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.service", name, slack.api_url,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"SLACK_BOT_TOKEN": slack.bot_token},
            )  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            address = (await process.stdout.readline()).decode().strip()
            run = _Run(session, f"{address}/events")
            await _warm_up(run, slack)
            await _stream(run, seconds)
            reached = await _reached(slack, run)
            process.stdin.close()
            await process.wait()
    return _figures(run, reached, slack)


async def _warm_up(run: _Run, slack: SlackServer) -> None:
    """One conflict that is not counted: a service that has just started still learns its house."""
    number = PER_SECOND * PARTNERS
    await run.send(number - PER_SECOND + 1)
    await run.send(number)
    await _reached(slack, run)
    run.posted.clear()


async def _stream(run: _Run, seconds: int) -> None:
    start = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(seconds * PER_SECOND):
            await asyncio.sleep(max(0.0, start + number / PER_SECOND - time.monotonic()))
            tasks.create_task(run.send(number))


async def _reached(slack: SlackServer, run: _Run) -> dict[str, float]:
    """When the first request about each conflict came, as far as they come in good time."""
    until = time.monotonic() + _PATIENCE
    while True:
        found: dict[str, float] = {}
        for call in slack.calls:
            words = str(call.arguments.get("text", "")).split("\n")[0].replace(":", " ").split()
            order = next((word for word in words if word.startswith("PO-")), None)
            if call.method == "chat.postMessage" and order is not None:
                found.setdefault(order, call.at)
        if run.posted.keys() <= found.keys() or time.monotonic() > until:
            return found
        await asyncio.sleep(0.1)


def _figures(run: _Run, reached: dict[str, float], slack: SlackServer) -> dict[str, Any]:
    took = sorted(reached[order] - at for order, at in run.posted.items() if order in reached)
    return {
        "per_second": PER_SECOND,
        "conflicts": len(run.posted),
        "missing": len(run.posted) - len(took),
        "refused": run.refused,
        "limited": sum(call.status == 429 for call in slack.calls),
        "channels": PARTNERS,
        "p50_ms": median(took) * 1e3 if took else None,
        "p99_ms": took[min(len(took) - 1, int(len(took) * 0.99))] * 1e3 if took else None,
        "worst_ms": took[-1] * 1e3 if took else None,
    }


def measure(seconds: int) -> dict[str, Any]:
    """So many seconds of events; the figures in milliseconds."""
    return asyncio.run(_measure(seconds))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1])), indent=2))
