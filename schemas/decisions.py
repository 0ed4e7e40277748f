"""Decisions out: what is announced of cases to other programs, as CloudEvents 1.0.

Each is sent at least once, under an id that never changes: a receiver that has seen an id may
ignore it. Those of one case come in the order in which they were decided. Cases in shadow mode are
not announced.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: What begins every type; nothing that comes in is called so.
PREFIX = "detente.case."
#: The `source` of every decision.
SOURCE = "/detente"

What = Literal[
    "opened",
    "escalated",
    "acknowledged",
    "breached",
    "resolved",
    "closed",
    "reopened",
    "retracted",
]
_Type = Literal[
    "detente.case.opened",
    "detente.case.escalated",
    "detente.case.acknowledged",
    "detente.case.breached",
    "detente.case.resolved",
    "detente.case.closed",
    "detente.case.reopened",
    "detente.case.retracted",
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DecidedSubject(_Part):
    """What a case is about."""

    kind: str
    """`order`, `ticket`, `disruption`, `pattern`, `metric` or `touchpoints`."""
    name: str
    """The order's id, the ticket's id ..."""


class DecisionData(_Part):
    """One step of a case, and where the case stands with it."""

    case_id: str
    partner_id: str
    """Empty for a case over several partners."""
    partner_tier: str
    subject: DecidedSubject
    headline: str
    state: str
    """Where the case stands: `open`, `acknowledged`, `waiting on partner`, `snoozed` ..."""
    tier: str
    """The escalation tier of the step."""
    owner: str | None
    rules: list[str]
    """Every rule that matched and stands."""
    parent: str | None
    """The case of the disruption that explains this one."""
    decided_at: Moment
    """When Detente decided it; the envelope's `time` is when it happened."""
    due: Moment | None
    """Until when the acknowledgement that the step asks for is owed."""
    actor: str | None
    """Who caused it, where a person did."""
    policy: str
    """Hash of the policy version that decided."""
    summary: str
    why: list[str]
    """The arithmetic, line by line."""
    step: str
    """Names the step within its case."""


class Decision(_Part):
    """A CloudEvent about a decision."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    """Stable: the same decision always has the same id."""
    source: Literal["/detente"] = "/detente"
    type: _Type
    time: Moment
    subject: str
    """The case's id."""
    partitionkey: str
    """The partner's id, or the case's where there is no partner: the key of the Kafka record."""
    datacontenttype: Literal["application/json"] = "application/json"
    data: DecisionData


def decision(what: What, **envelope: Any) -> Decision:
    """A decision of a type, e.g. `opened`. Raises pydantic's ValidationError."""
    return Decision.model_validate({"type": PREFIX + what, **envelope})
