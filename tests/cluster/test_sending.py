"""What sends to Kafka gives up in good order."""

import asyncio
import gc

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.cluster.sending import Outgoing, Sender
from streams.cluster.settings import KafkaSettings
from tests.rigs.kafka import KafkaServer


async def test_what_could_not_be_sent_leaves_no_task_behind(
    kafka_of_my_own: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_of_my_own.brokers)
    await admin.start()
    await admin.create_topics([NewTopic("sent", 1, 1)])
    await admin.close()
    sender = Sender(KafkaSettings(brokers=kafka_of_my_own.brokers), "cannot send", 2.0)
    assert await sender.send([Outgoing("sent", None, b"1", [])])
    await asyncio.to_thread(kafka_of_my_own.stop)
    assert not await sender.send([Outgoing("sent", None, b"2", [])])
    before = asyncio.all_tasks()
    gc.collect()
    await sender.stop()
    assert before == {asyncio.current_task()}
    assert "was destroyed" not in caplog.text
