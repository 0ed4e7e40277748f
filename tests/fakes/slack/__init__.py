"""A Slack that runs on loopback and behaves as Slack documents, for tests.

async with SlackServer(clock) as slack:
    slack.channel("C0FRONT")
    client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    ...
    assert [m.text for m in slack.messages("C0FRONT")] == [...]
"""

from tests.fakes.slack.limits import BlockError, validate_blocks, validate_view
from tests.fakes.slack.server import Call, Fault, Posted, SlackServer
from tests.fakes.slack.workspace import Message, User

__all__ = [
    "BlockError",
    "Call",
    "Fault",
    "Message",
    "Posted",
    "SlackServer",
    "User",
    "validate_blocks",
    "validate_view",
]
