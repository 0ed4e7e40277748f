"""Slack in a cluster: two relays tell and listen, and either decides at once what is clicked.

The stories are those of the embedded service; here they go through Kafka, a worker, PostgreSQL and
two relays.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest

from detente.relay_process import RelayProcess
from notifiers.slack import notifier as slack_notifier
from rules.decision import State
from schemas.time import SECOND
from streams.store import Store
from tests import slack_stories
from tests.acceptance.test_service import WAIT, Clock, Terminal
from tests.cluster.cluster import Cluster
from tests.cluster.test_relay import relaying, settings_of
from tests.fakes.slack import SlackServer
from tests.rigs.kafka import KafkaServer
from tests.slack_stories import (
    ACK,
    DIRECTORY,
    POLICY,
    SCOPES,
    STORM_DIRECTORY,
    STORM_POLICY,
    Office,
    Race,
)


class ClusterOffice(Office):
    """A worker and two relays, and the Slack that people use."""

    sockets = 2

    def __init__(
        self,
        cluster: Cluster,
        relays: tuple[RelayProcess, RelayProcess],
        slack: SlackServer,
        clock: Clock,
        store: Store,
    ) -> None:
        super().__init__(slack, clock, store, cluster.db)
        self.cluster, self.relays = cluster, relays

    async def take(self, *events: dict[str, Any]) -> None:
        kafka = self.cluster.kafka
        await self.cluster.produce(
            (kafka.topic_of(said["type"]), b"acme", json.dumps(said).encode()) for said in events
        )

    def wake(self) -> None:
        for relay in self.relays:
            relay._news.set()

    async def turn(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.1)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT):
            while not holds():
                self.advance(SECOND)
                with suppress(TimeoutError):
                    await self.slack.until(holds, 0.2)


Build = Callable[..., AbstractAsyncContextManager[ClusterOffice]]


@pytest.fixture
def opened(kafka: KafkaServer, postgres_url: str, tmp_path: Path) -> Build:
    """Opens an office with nothing to do yet, with a policy and a directory."""
    return partial(_opened, kafka, postgres_url, tmp_path)


@pytest.fixture
async def office(opened: Build) -> AsyncIterator[ClusterOffice]:
    async with opened() as found:
        yield found


@asynccontextmanager
async def _opened(
    kafka: KafkaServer,
    postgres_url: str,
    folder: Path,
    policy: str = POLICY,
    directory: str = DIRECTORY,
) -> AsyncIterator[ClusterOffice]:
    cluster = await Cluster.make(kafka.brokers, postgres_url, folder, partitions=1)
    settings, clock = settings_of(cluster, policy, directory), Clock()
    async with SlackServer(lambda: clock() / SECOND, scopes=SCOPES) as slack:
        for channel in ("C0MANAGE", "C0FRONT"):
            slack.channel(channel)
        for user in ("U0CLAIRE", "U0HENRIK", "U0DAVID", "U0MIA"):
            slack.user(user)
        environment = {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_SIGNING_SECRET": slack.signing_secret,
        }
        how = {"clock": clock, "environment": environment, "slack_url": slack.api_url}
        async with (
            relaying(cluster, settings, Terminal(), **how) as one,
            relaying(cluster, settings, Terminal(), **how) as other,
            cluster.worker_inside(clock),
        ):
            await asyncio.wait_for(slack.connected(2), WAIT)
            with Store.open(cluster.db, create=False) as store:
                yield ClusterOffice(cluster, (one, other), slack, clock, store)
    await cluster.close()


async def test_an_alert_is_told_by_one_relay_and_owned_by_a_click_on_either(
    office: ClusterOffice,
) -> None:
    await slack_stories.an_alert_is_owned_by_one_click_and_shows_it(office)
    slack = office.slack
    [second] = await office.conflict("PO-2")
    # By signed HTTP, to the relay that the click over Socket Mode did not reach.
    payload = slack.click(second, ACK, "U0HENRIK")
    body = urlencode({"payload": msgspec.json.encode(payload).decode()}).encode()
    signed = slack.signed(body)
    forged = signed | {"X-Slack-Signature": f"v0={'0' * 64}"}
    one, other = (f"http://127.0.0.1:{relay.port}/slack/interactions" for relay in office.relays)
    async with aiohttp.ClientSession() as session:

        async def sent(url: str, headers: dict[str, str]) -> int:
            async with session.post(url, data=body, headers=headers) as answer:
                return answer.status

        assert [await sent(one, said) for said in (signed, forged, signed)] == [200, 401, 401]
        await office.until(lambda: second.text.startswith("🙋 Acknowledged"))
        steps, said = office.steps("PO-2"), len(office.said)
        assert await sent(other, signed) == 200  # the other relay has not seen it
    await office.until(lambda: len(office.said) > said)
    assert office.steps("PO-2") == steps
    await office.all_told()
    for channel in ("C0MANAGE", "C0FRONT"):
        assert len(slack.roots(channel)) == 2
    owned = {(order, office.case(order).state, office.case(order).owner)
             for order in ("PO-1", "PO-2")}  # fmt: skip
    assert owned == {
        ("PO-1", State.ACKNOWLEDGED, "claire"),
        ("PO-2", State.ACKNOWLEDGED, "henrik"),
    }


async def test_two_people_click_at_once_on_two_relays_and_one_of_them_owns(
    office: ClusterOffice,
) -> None:
    await slack_stories.two_people_click_at_once_and_one_of_them_owns(office)


async def test_an_old_message_that_is_clicked_says_so_and_is_put_right(
    office: ClusterOffice,
) -> None:
    await slack_stories.an_old_message_that_is_clicked_says_so_and_is_put_right(office)


async def test_silence_escalates_and_the_next_tier_owns_from_its_direct_message(
    office: ClusterOffice,
) -> None:
    await slack_stories.silence_escalates_and_the_next_tier_owns_from_its_direct_message(office)


@pytest.mark.parametrize("first", Race)
async def test_an_acknowledgement_races_an_escalation_and_one_of_them_wins(
    office: ClusterOffice, first: Race
) -> None:
    await slack_stories.an_acknowledgement_races_an_escalation_and_one_of_them_wins(office, first)


async def test_a_storm_loses_nothing_and_holds_up_no_other_channel(opened: Build) -> None:
    async with opened(STORM_POLICY, STORM_DIRECTORY) as office:
        await slack_stories.a_storm_loses_nothing_and_holds_up_no_other_channel(office, 40)


async def test_trouble_at_random_leaves_each_alert_exactly_once(
    office: ClusterOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_notifier, "TIMEOUT", 0.3)
    await slack_stories.trouble_at_random_leaves_each_alert_exactly_once(office)


async def test_connections_that_end_are_opened_again(office: ClusterOffice) -> None:
    await slack_stories.connections_that_end_are_opened_again(office, abruptly=True)


async def test_a_stranger_is_shown_a_code_and_can_act_once_it_is_entered(
    office: ClusterOffice,
) -> None:
    await slack_stories.a_stranger_is_shown_a_code_and_can_act_once_it_is_entered(office)


async def test_a_token_that_slack_refuses_is_told_to_operations(office: ClusterOffice) -> None:
    await slack_stories.a_token_that_slack_refuses_is_told_to_operations(office)
