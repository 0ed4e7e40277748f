"""Slack in a cluster: one of two relays tells, and either decides at once what is clicked."""

import asyncio
from urllib.parse import urlencode

import aiohttp
import msgspec

from detente.cluster import put_in_force
from detente.embedded import wall_clock
from rules.decision import State
from schemas.time import SECOND
from streams.cluster.settings import ClusterSettings
from streams.store import Store
from tests.acceptance.test_service import WAIT, Terminal
from tests.acceptance.test_slack_inbound import ACK, DIRECTORY, POLICY
from tests.cluster.cluster import Cluster
from tests.cluster.test_relay import relaying, settings_of, trouble
from tests.fakes.slack import SlackServer


async def test_an_alert_is_told_by_one_relay_and_owned_by_a_click_on_either(
    cluster: Cluster,
) -> None:
    settings = settings_of(cluster, POLICY, DIRECTORY)
    put_in_force(settings, ClusterSettings(cluster.db, cluster.kafka), wall_clock())
    async with SlackServer(lambda: wall_clock() / SECOND) as slack:
        for channel in ("C0MANAGE", "C0FRONT"):
            slack.channel(channel)
        for user in ("U0CLAIRE", "U0HENRIK", "U0DAVID"):
            slack.user(user)
        listens = {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_SIGNING_SECRET": slack.signing_secret,
        }
        how = {"environment": listens, "slack_url": slack.api_url}
        async with (
            relaying(cluster, settings, Terminal(), **how),
            relaying(cluster, settings, Terminal(), **how) as other,
            cluster.worker_inside(),
        ):
            await asyncio.wait_for(slack.connected(), WAIT)
            await cluster.produce(trouble(cluster, "PO-1", "PO-2"))
            await slack.until(lambda: len(slack.roots("C0MANAGE")) == 2, WAIT)
            first, second = slack.roots("C0MANAGE")
            # Over Socket Mode, to whichever relay Slack chooses.
            await slack.deliver("interactive", slack.click(first, ACK, "U0CLAIRE"))
            await slack.until(lambda: first.text.startswith("🙋 Acknowledged"), WAIT)
            # By signed HTTP, to the other.
            payload = slack.click(second, ACK, "U0HENRIK")
            body = urlencode({"payload": msgspec.json.encode(payload).decode()}).encode()
            url = f"http://127.0.0.1:{other.port}/slack/interactions"
            async with aiohttp.ClientSession() as session:
                async with session.post(url, data=body, headers=slack.signed(body)) as answer:
                    assert answer.status == 200
                forged = slack.signed(body) | {"X-Slack-Signature": f"v0={'0' * 64}"}
                async with session.post(url, data=body, headers=forged) as answer:
                    assert answer.status == 401
            await slack.until(lambda: second.text.startswith("🙋 Acknowledged"), WAIT)
            assert len(slack.roots("C0MANAGE")) == 2
            assert len(slack.roots("C0FRONT")) == 2
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        cases = tx.list_cases()
    assert {(case.state, case.owner) for case in cases} == {
        (State.ACKNOWLEDGED, "claire"),
        (State.ACKNOWLEDGED, "henrik"),
    }
