"""What the running service shows of itself: health, figures for Prometheus, and its log."""

import asyncio
import json
import logging
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from detente.service import Service
from schemas.time import DAY, HOUR, Instant
from streams.health import METRICS
from tests.acceptance.test_service import (
    CADENCE,
    MONDAY,
    POLICY,
    WAIT,
    Clock,
    Terminal,
    placed,
    post,
    serving,
    settings_in,
    short,
)


async def figures(service: Service) -> dict[str, float]:
    """Each figure by its name and labels, as Prometheus reads them."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(service.address + METRICS) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def shows(service: Service, name: str, value: float) -> dict[str, float]:
    """The figures once one of them has a value: the relay counts when it is done with all."""
    async with asyncio.timeout(WAIT):
        while (found := await figures(service))[name] != value:
            pass
    return found


async def test_what_came_in_is_counted_by_what_became_of_it(tmp_path: Path) -> None:
    terminal = Terminal()
    async with serving(settings_in(tmp_path), Clock(), terminal) as service:
        before = await figures(service)
        assert before["detente_events_total accepted"] == 0
        order = placed(promised=Instant(MONDAY + DAY))
        await post(service, order, short(), {"specversion": "1.0"})
        await post(service, order)
        await terminal.shows("to Claire", "to Anna")
        found = await shows(service, "detente_deliveries_total sent", 2)
    assert found["detente_events_total accepted"] == 2
    assert found["detente_events_total rejected"] == 1
    assert found["detente_events_total duplicate"] == 1
    assert found["detente_batch_seconds_count"] == 2
    assert found["detente_rejected_kept"] == 1
    assert found["detente_outbox_entries queued"] == 0
    assert found["detente_store_up"] == 1


async def test_deadlines_are_due_held_or_decided(tmp_path: Path) -> None:
    clock, terminal = Clock(), Terminal()
    async with serving(settings_in(tmp_path, POLICY + CADENCE), clock, terminal) as service:
        await post(service, placed("PO-1"), placed("PO-2"))
        # The feed falls silent: nobody knows whether they have come.
        clock.advance(3 * DAY)
        found = await figures(service)
        assert found["detente_deadlines_held order"] == 2
        assert found["detente_deadlines_due order"] == 0
        assert found["detente_deadlines_decided_total"] == 0
        assert found["detente_deadlines_held people"] == 0


async def test_what_cannot_be_told_yet_is_seen_to_wait(tmp_path: Path) -> None:
    clock = Clock()
    settings = settings_in(tmp_path)
    file = tmp_path / "directory.yaml"
    quiet = '{name: Claire, quiet_hours: "00:00-23:59", routes: [{kind: terminal}]}'
    file.write_text(file.read_text().replace("{name: Claire, routes: [{kind: terminal}]}", quiet))
    terminal = Terminal()
    async with serving(settings, clock, terminal) as service:
        await post(service, placed(promised=Instant(MONDAY + DAY)), short())
        await terminal.shows("to Anna")
        clock.advance(HOUR)
        found = await shows(service, "detente_deliveries_total deferred", 1)
        assert found["detente_outbox_entries queued"] == 1
        assert found["detente_outbox_age_seconds"] == 3_600


async def test_the_log_says_what_was_decided_about_whom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streams")
    terminal = Terminal()
    async with serving(settings_in(tmp_path), Clock(), terminal) as service:
        await post(service, placed(promised=Instant(MONDAY + DAY)), short(), {"specversion": "1.0"})
        await terminal.shows("to Claire")
    said = {record.getMessage(): record for record in caplog.records}
    opened = next(record for text, record in said.items() if text == "opened, at management")
    assert str(opened.__dict__["case"]).startswith("C-")
    assert opened.__dict__["partner"] == "acme"
    assert any(text.startswith("Not taken, request 1") for text in said)
    assert any(text.startswith("Took 3 records in") for text in said)


async def test_the_figures_stand_behind_the_same_token_as_events(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with serving(settings, Clock()) as service:
        service._tokens = (service._local,)
        async with (
            aiohttp.ClientSession() as session,
            session.get(service.address + METRICS) as answer,
        ):
            assert answer.status == 401
            assert "token" in json.loads(await answer.text())["error"]
