"""Timelines of tickets and touchpoints: said in short, and judged as of any instant."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rules.clocks.clock import Clock
from rules.clocks.subject_clocks import clocks_of
from rules.decision import Kind, StepRow
from rules.policy import CompiledPolicy, PolicyHistory, compile_policy
from rules.recipients import Recipients
from rules.subjects import (
    Contribution,
    Document,
    Taken,
    case_id,
    is_command,
    state_command,
    state_subject,
    subject_key,
)
from rules.world import World
from schemas.directory import Directory
from schemas.events import Malformed, UnknownType, parse_event
from schemas.policy import Policy
from schemas.time import Instant, to_datetime, to_instant

ALWAYS = {"timezone": "UTC", "hours": {"mon-sun": ["00:00-24:00"]}}
OFFICE = {"timezone": "UTC", "hours": {"mon-fri": ["09:00-17:00"]}}
TICKET = subject_key(Kind.TICKET, "acme", "T1")
TOUCHPOINTS = subject_key(Kind.TOUCHPOINTS, "acme", "")
_LADDER = {"notify": "account_manager", "acknowledge_within": "4bh", "resolve_within": "2bd"}


def at(text: str) -> Instant:
    """`2026-11-02 10:00`, in UTC unless it carries an offset."""
    moment = datetime.fromisoformat(text)
    return to_instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def shown(instant: int | None) -> str | None:
    """The opposite of `at`."""
    return None if instant is None else f"{to_datetime(instant):%Y-%m-%d %H:%M}"


def policy(
    commitments: dict[str, Any] | None = None,
    clocks: dict[str, Any] | None = None,
    calendar: dict[str, Any] = OFFICE,
    *,
    digest: str = "p1",
    **parts: Any,
) -> CompiledPolicy:
    """A policy with one partner tier, `strategic`, unless `commitments` names its tiers itself."""
    promised = commitments or {}
    by_tier = promised if "strategic" in promised else {"strategic": promised, "standard": {}}
    document = {
        "rules": [{"name": "late", "when": {"breach": "resolution"}, "open_at": "frontline"}],
        "ladders": {"default": dict.fromkeys(("frontline", "management", "executive"), _LADDER)},
        "commitments": by_tier,
        "calendars": {"default": calendar},
        "clocks": clocks or {},
        **parts,
    }
    return compile_policy(Policy.model_validate(document), digest)


class Timeline:
    """What is said of partner `acme`, its ticket T1 and its touchpoints, and what follows."""

    def __init__(
        self,
        compiled: CompiledPolicy,
        *later: tuple[str, CompiledPolicy],
        tier: Any = "strategic",
        people: dict[str, Any] | None = None,
    ) -> None:
        versions = ((Instant(0), compiled), *((at(when), p) for when, p in later))
        directory = Directory.model_validate(
            {"people": people or {}, "partners": {"acme": {"tier": tier}}}
        )
        recipients = Recipients(directory, compiled.calendars, compiled.default_tier)
        self.world = World(PolicyHistory(versions), recipients)
        self.contributions: list[Contribution] = []
        self.taken: dict[str, Taken] = {}
        self.steps: list[StepRow] = []

    # -- saying --------------------------------------------------------------------------------

    def say(
        self, when: str, type_: str, recorded: str | None = None, source: str = "/desk", **data: Any
    ) -> "Timeline":
        """One event, taken in at once unless `recorded` says when."""
        moment = at(when)
        body = {
            "specversion": "1.0",
            "id": f"e{len(self.contributions)}",
            "source": source,
            "type": type_,
            "time": to_datetime(moment).isoformat(),
            "data": {"partner_id": "acme", **data},
        }
        event = parse_event(json.dumps(body).encode())
        assert not isinstance(event, Malformed | UnknownType), event
        seen = moment if recorded is None else at(recorded)
        if is_command(event):
            key = TOUCHPOINTS if case_id(TOUCHPOINTS) in json.dumps(data) else TICKET
            statement = state_command(event, seen, key, self.world.recipients.roles_of)
        else:
            statement = state_subject(event, seen)
        self.contributions.append(statement.contribution)
        return self

    def opened(self, when: str, category: str = "quality", **data: Any) -> "Timeline":
        return self.say(when, "ticket.opened", ticket_id="T1", category=category, **data)

    def status(self, when: str, status: str, **data: Any) -> "Timeline":
        return self.say(when, "ticket.status", ticket_id="T1", status=status, **data)

    def us(self, when: str, kind: str = "reply") -> "Timeline":
        return self.say(when, "ticket.message", ticket_id="T1", author="us", kind=kind)

    def partner(self, when: str, kind: str = "reply") -> "Timeline":
        return self.say(when, "ticket.message", ticket_id="T1", author="partner", kind=kind)

    def excused(self, when: str, clock: str, actor: str, key: str = TICKET) -> "Timeline":
        return self.say(when, "clock.excused", clock_id=f"{case_id(key)}/{clock}", actor=actor)

    # -- asking --------------------------------------------------------------------------------

    def all(self, as_of: str | int, key: str = TICKET, since: str | None = None) -> list[Clock]:
        """Every clock of the ticket (or of the touchpoints) at an instant."""
        return clocks_of(
            key,
            Document(self.contributions, self.taken, []),
            self.world,
            as_of if isinstance(as_of, int) else at(as_of),
            steps=self.steps,
            since=None if since is None else at(since),
        )

    def clock(self, metric: str, as_of: str, cycle: str = "1") -> Clock:
        """One clock of the ticket."""
        found = self.all(as_of)
        return next(c for c in found if (c.metric, c.cycle) == (metric, cycle))

    def states(self, metric: str, as_of: str) -> list[str]:
        """The states of a metric's instances, in the order of their start."""
        return [str(c.state) for c in self.all(as_of) if c.metric == metric]


def by_key(clocks: Sequence[Clock]) -> dict[str, Clock]:
    """Clocks by metric and cycle."""
    return {clock.key: clock for clock in clocks}
