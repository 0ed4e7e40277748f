"""`/detente`: what it understands, and its answers."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from notifiers.slack.mrkdwn import date, value
from rules.decision import CaseRow, State
from rules.policy import CompiledPolicy
from rules.subjects import case_id_meant
from rules.transitions import ACTIVE
from schemas.directory import Partner
from schemas.report import ReportKind
from schemas.time import Instant
from streams.relay import House
from streams.store import Transaction

USAGE = (
    "`/detente mine` lists what waits for you\n"
    "`/detente case ID` shows a case and its story\n"
    "`/detente ack ID` acknowledges it\n"
    "`/detente comment ID TEXT` writes a note on it\n"
    "`/detente oncall PARTNER` says who is told about a partner\n"
    "`/detente digest` shows the newest weekly digest, `/detente digest WEEK` another\n"
    "`/detente link` shows a code that links your account to a person"
)
NO_DIGEST = "There is no weekly digest yet: none has been issued."
#: So many cases and steps are listed in one answer.
MOST = 15


class NotFoundError(Exception):
    """What was named does not exist or is not clear; the message says so."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command and what it is about."""

    verb: str
    about: str
    rest: str


def parse(text: str) -> Parsed:
    """`case C-QK 7` is the verb `case`, about `C-QK`, with the rest `7`."""
    verb, _, after = text.strip().partition(" ")
    about, _, rest = after.strip().partition(" ")
    return Parsed(verb.lower(), about, rest.strip())


def find_digest(tx: Transaction, text: str) -> str:
    """The week of the issued digest that was asked for: the newest if none. Raises NotFoundError.

    Everybody who works here may read it: it names people only where the policy says so.
    """
    weeks = tx.issued_keys(str(ReportKind.DIGEST))
    if not weeks:
        raise NotFoundError(NO_DIGEST)
    newest = max(weeks)
    week = text.strip("`* ").upper() or newest
    if week not in weeks:
        raise NotFoundError(
            f"No digest of {value(week, 100)} was issued; the newest is of {newest}. "
            f"Write a week as {newest}."
        )
    return week


def find_case(tx: Transaction, text: str) -> CaseRow:
    """The case whose id begins so; `C-` may be left out. Raises NotFoundError."""
    meant = case_id_meant(text)
    if meant is None:
        raise NotFoundError("Name the case by its id, or by the first letters of it.")
    found = tx.find_cases(meant, MOST + 1)
    if not found:
        raise NotFoundError(f"There is no case {value(meant, 100)}.")
    if len(found) > 1:
        named = ", ".join(case.case_id for case in found[:MOST])
        raise NotFoundError(f"Several cases begin so: {named}. Write more of the id.")
    return found[0]


def mine(
    tx: Transaction, person: str, house: House, policy: CompiledPolicy, now: Instant
) -> list[str]:
    """What waits for a person: the cases that they own, and those that they are asked about."""
    cases = tx.list_cases(states=ACTIVE)
    owned = [case for case in cases if case.owner == person]
    asked = [c for c in cases if c.state is State.OPEN and c.owner != person
             and _asked(c, person, house, policy, now)]  # fmt: skip
    if not owned and not asked:
        return ["Nothing waits for you."]
    zone = house.zone(person)
    lines = []
    for title, found in (("To be acknowledged", asked), ("Yours", owned)):
        if found:
            lines.append(f"*{title}*")
            lines += [_line(case, house, zone) for case in found[:MOST]]
            if len(found) > MOST:
                lines.append(f"… and {len(found) - MOST} more")
    return lines


def _asked(case: CaseRow, person: str, house: House, policy: CompiledPolicy, now: Instant) -> bool:
    role = _roles(case.partner_tier, policy).get(case.tier)
    return role in house.recipients.roles_of(person, case.partner_id or None, now)


def _roles(partner_tier: str, policy: CompiledPolicy) -> dict[str, str]:
    return {rung.tier: rung.document.notify for rung in policy.ladder(partner_tier)}


def _line(case: CaseRow, house: House, zone: str) -> str:
    due = f", until {date(case.due, zone)}" if case.due is not None else ""
    headline = value(house.headline(case.headline, case.partner_id), 120)
    return f"• `{case.case_id}` {headline} ({case.state} at {case.tier}{due})"


def story(tx: Transaction, case: CaseRow, house: House, zone: str) -> list[str]:
    """What happened to a case, the latest steps of it."""
    steps = sorted(tx.steps(case.case_id), key=lambda step: (step.at, step.n))
    lines = ["*What happened*"]
    if len(steps) > MOST:
        lines.append(f"… {len(steps) - MOST} earlier steps")
    for step in steps[-MOST:]:
        gone = " (withdrawn: no longer true)" if step.withdrawn_at is not None else ""
        summary = str(step.receipt.get("summary", ""))
        summary = value(house.recipients.in_names(summary, step.actor), 150)
        lines.append(f"• {date(step.at, zone)} {summary}{gone}")
    return lines


def on_call(named: str, house: House, policy: CompiledPolicy, now: Instant) -> list[str]:
    """Who is told about a partner at each tier, and how they were found.

    Raises NotFoundError.
    """
    partners = house.recipients.directory.partners
    same = [key for key, partner in partners.items()
            if named.lower() in (key.lower(), (partner.name or "").lower())]  # fmt: skip
    if len(same) != 1:
        raise NotFoundError(_which_partner(named, same, partners))
    [partner_id] = same
    tier = house.recipients.partner_tier(partner_id, now) or ""
    shown = house.partner_name(partner_id) or partner_id
    return [f"*{value(shown, 200)}* ({value(tier, 100)})", *_rungs(partner_id, tier, house, policy,
                                                                 now)]  # fmt: skip


def _which_partner(named: str, same: Collection[str], partners: Mapping[str, Partner]) -> str:
    if same:
        ids = ", ".join(value(key, 100) for key in [*same][:MOST])
        return f"Several partners are called {value(named, 100)}: {ids}. Name one by its id."
    accepted = "Name a partner as the directory does, by id or by whole name"
    if not named:
        return f"{accepted}."
    ids_of = {word.lower(): key for key, partner in partners.items()
              for word in (key, partner.name or key)}  # fmt: skip
    near = get_close_matches(named.lower(), ids_of, 3)
    shown = ", ".join(value(key, 100) for key in dict.fromkeys(ids_of[word] for word in near))
    meant = f"; did you mean {shown}?" if near else "."
    return f"There is no partner {value(named, 100)}. {accepted}{meant}"


def _rungs(
    partner_id: str, partner_tier: str, house: House, policy: CompiledPolicy, now: Instant
) -> Iterator[str]:
    for escalation_tier, role in _roles(partner_tier, policy).items():
        found = house.recipients.resolve(role, partner_id, now)
        names = ", ".join(value(house.name(person), 100) for person in found.people) or "nobody"
        yield f"• {escalation_tier}: {names} ({value(role.replace('_', ' '), 100)})"
