"""What became of one record: the answer that its sender gets."""

from dataclasses import dataclass
from typing import get_args

from schemas.events import Problem


@dataclass(frozen=True, slots=True)
class Accepted:
    """Taken in; what it changes is on disk."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Seen before with the same content; nothing changed (law 4)."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The id of an earlier event with other content. Kept aside; a correction needs its own id."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No event that can be read. Kept with its bytes; the sender has to correct it."""

    reason: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class SetAside:
    """Readable, but of an unknown type or impossible to decide. Kept to be driven again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """A command for a case that does not exist yet. Taken when the case comes."""

    reason: str


Outcome = Accepted | Duplicate | Conflict | Refused | SetAside | Parked

#: What each is called wherever somebody counts or reads them: answers, figures and logs.
NAMES: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Duplicate: "duplicate",
    Refused: "rejected",
    Conflict: "conflict",
    SetAside: "set_aside",
    Parked: "parked",
}
assert NAMES.keys() == set(get_args(Outcome)), "every outcome is counted under a name"
