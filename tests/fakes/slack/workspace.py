"""What a workspace holds: users, channels and the messages in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class SlackError(Exception):
    """An answer `{"ok": false, "error": ...}`."""

    def __init__(self, error: str, **more: object) -> None:
        super().__init__(error)
        self.error, self.more = error, more


@dataclass(frozen=True)
class User:
    """A person with an account."""

    id: str
    name: str
    email: str
    tz: str = "Europe/Berlin"
    deleted: bool = False


@dataclass
class Message:
    """A message as the API shows it."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
    metadata: dict[str, Any] | None
    bot_id: str | None
    user: str | None
    thread_ts: str | None = None
    broadcast: bool = False
    edits: int = 0

    def document(self, *, metadata: bool) -> dict[str, Any]:
        """As conversations.history returns it."""
        shown: dict[str, Any] = {"type": "message", "ts": self.ts, "text": self.text}
        if self.blocks:
            shown["blocks"] = self.blocks
        if self.attachments:
            shown["attachments"] = self.attachments
        if self.bot_id:
            shown |= {"bot_id": self.bot_id, "subtype": "bot_message"}
        if self.user:
            shown["user"] = self.user
        if self.thread_ts:
            shown["thread_ts"] = self.thread_ts
        if self.broadcast:
            shown["subtype"] = "thread_broadcast"
        if self.edits:
            shown["edited"] = {"user": self.user, "ts": self.ts}
        if metadata and self.metadata:
            shown["metadata"] = self.metadata
        return shown

    @property
    def every_block(self) -> list[dict[str, Any]]:
        """Blocks of the message and of its attachments."""
        return self.blocks + [b for a in self.attachments for b in a.get("blocks", [])]

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        """Buttons and other elements that a reader can use, by action_id."""
        found = {}
        for block in self.every_block:
            for element in [*block.get("elements", ()), block.get("accessory") or {}]:
                if "action_id" in element:
                    found[element["action_id"]] = element
        return found

    @property
    def shown(self) -> str:
        """All text that a reader sees in blocks, a line for each text object."""
        return "\n".join(_texts(self.every_block)) or self.text


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        found = [node["text"]] if isinstance(node.get("text"), str) else []
        return found + [t for value in node.values() for t in _texts(value)]
    return [t for value in node for t in _texts(value)] if isinstance(node, list) else []


@dataclass
class Channel:
    """A conversation."""

    id: str
    is_member: bool = True
    is_private: bool = False
    is_archived: bool = False
    im_user: str | None = None
    messages: list[Message] = field(default_factory=list)

    def find(self, ts: str) -> Message | None:
        """The message of that time stamp."""
        return next((message for message in self.messages if message.ts == ts), None)


class Bucket:
    """A token bucket: `burst` at once, then `per_second`."""

    def __init__(self, clock: Callable[[], float], per_second: float, burst: int) -> None:
        self._clock, self._rate, self._burst = clock, per_second, burst
        self._tokens, self._at = float(burst), clock()

    def take(self) -> float:
        """0 when it is one's turn, else the seconds until it is."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate
