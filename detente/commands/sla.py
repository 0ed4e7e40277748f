"""`detente sla`: which promises run, when they fall due, and which are late."""

from collections.abc import Iterator, Sequence

import click

from detente.case_story import Line, print_lines
from detente.clock_lists import clock_document, clocks_at, is_running
from detente.desk import Desk, moment, open_desk, subject_words, words
from detente.moments import due_in, length, read_past
from detente.output import is_terminal, json_option, print_json, print_table, say, shown
from detente.settings import db_option
from rules.clocks.clock import PARTNER, Clock, ClockState
from rules.clocks.ladder_clocks import ACKNOWLEDGE, RESOLVE
from rules.decision import Kind
from rules.subjects import split_key
from schemas.documents import closest
from schemas.policy import Metric
from schemas.time import Instant, local_text

_COLUMNS = ("due", "left", "state", "metric", "subject", "partner", "owed by", "remarks", "clock")
_TOUCHPOINT = "touchpoint"
_METRICS = (*map(str, Metric), ACKNOWLEDGE, RESOLVE, _TOUCHPOINT)
_STATES = {str(state).replace(" ", "-"): state for state in ClockState}
#: A terminal narrower than this gets two lines a clock.
_WIDE = 170


@click.command()
@click.option("--partner", metavar="ID", help="Only promises to this partner.")
@click.option("--tier", metavar="TIER", help="Only partners of this tier, or this tier's ladder.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(_METRICS, case_sensitive=False),
    help="Only this kind of promise; may be given several times.",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(_STATES), case_sensitive=False),
    help="Clocks in this state, also those that have ended; may be given several times.",
)
@click.option("--as-of", metavar="TIME", help="As it stood then: 2026-11-23 or 2026-11-23 14:00.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show at most N.")
@json_option
@db_option
def sla(
    partner: str | None,
    tier: str | None,
    metrics: tuple[str, ...],
    states: tuple[str, ...],
    as_of: str | None,
    limit: int | None,
    as_json: bool,
    db: str | None,
) -> None:
    """List the clocks that run, soonest due first; late ones say by how much.

    Due times are in the zone of the calendar that counts. --as-of answers from what had happened
    by then; a day means its end, in the zone of the default calendar.

    \b
    Everything that is owed now:         detente sla
    Late answers to strategic partners:  detente sla --tier strategic --state breached
    What one partner was owed then:      detente sla --partner nordlicht --as-of 2026-11-20
    """
    wanted = {_STATES[state.lower()] for state in states}
    with open_desk(db) as desk:
        at = desk.now if as_of is None else _past(desk, as_of)
        with desk.store.reading() as tx:
            found = [
                clock
                for clock in clocks_at(desk, tx, at, partner, past=bool(wanted))
                if (clock.state in wanted if wanted else is_running(clock))
                and (not metrics or clock.metric.partition(":")[0] in metrics)
                and (tier is None or tier in (clock.partner_tier, clock.escalation_tier))
            ]
        found.sort(key=_soonest)
        kept = found if limit is None else found[:limit]
        if as_json:
            clocks = [clock_document(clock) for clock in kept]
            print_json({"at": moment(desk.now), "as_of": moment(at), "found": len(found),
                        "clocks": clocks})  # fmt: skip
            return
        if as_of is not None:
            say(f"As of {local_text(at, desk.calendar('').zone)}:")
        if not found:
            _say_nothing(desk, partner, tier, filtered=bool(partner or tier or metrics or states))
            return
        _show(desk, kept)
        say(_count(found, len(kept)))


def _past(desk: Desk, text: str) -> Instant:
    try:
        return read_past(text, desk.now, desk.calendar("").zone)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from None


def _soonest(clock: Clock) -> tuple[bool, int, str]:
    due = clock.due_if_silent
    return due is None, clock.started_at if due is None else due, clock.clock_id


def _cells(desk: Desk, clock: Clock) -> Sequence[str]:
    kind, partner_id, _ = split_key(clock.subject)
    due = clock.due if clock.breached_at is None else clock.breached_at
    return (
        "" if due is None else local_text(due, clock.calendar.zone),
        _left(clock),
        str(clock.state),
        metric_words(clock),
        "touchpoints" if kind is Kind.TOUCHPOINTS else subject_words(clock.subject),
        f"{partner_id} ({clock.partner_tier})" if partner_id else "several partners",
        _owed_by(desk, clock),
        "; ".join(_remarks(desk, clock)),
        clock.clock_id,
    )


def _left(clock: Clock) -> str:
    if clock.breached_at is not None:
        late = f"{length(clock.late)} late"
        return late if clock.is_open else f"was {late}"
    if clock.state is ClockState.RUNNING:
        return due_in(None if clock.due is None else Instant(clock.due), clock.as_of)
    return ""


def metric_words(clock: Clock) -> str:
    """A metric for people: `first response`, `check in`, `acknowledge (management)`."""
    name = words(clock.metric.removeprefix(f"{_TOUCHPOINT}:"))
    return f"{name} ({clock.escalation_tier})" if clock.escalation_tier else name


def _owed_by(desk: Desk, clock: Clock) -> str:
    if clock.owed_by == PARTNER:
        return "the partner"
    known = desk.knowledge.recipients.person(clock.holder)
    return words(clock.holder) if known is None else known.name


def _remarks(desk: Desk, clock: Clock) -> Iterator[str]:
    zone = clock.calendar.zone
    if clock.state is ClockState.PAUSED:
        since = next(x.start for x in reversed(clock.excluded) if x.start <= clock.as_of)
        yield f"{clock.reason} since {local_text(since, zone)}"
    elif clock.excuse is not None:
        yield clock.reason.replace(clock.excuse.approver, desk.person(clock.excuse.approver))
    elif clock.reason:
        yield clock.reason
    if clock.asked_again:
        times = len(clock.asked_again)
        yield f"partner asked again{f' {times} times' if times > 1 else ''}"
    if clock.retroactive:
        yield "late already when its terms came"


def _show(desk: Desk, clocks: Sequence[Clock]) -> None:
    from shutil import get_terminal_size

    cells = [_cells(desk, clock) for clock in clocks]
    if not is_terminal() or get_terminal_size().columns >= _WIDE:
        print_table(_COLUMNS, cells)
        return
    for clock, row in zip(clocks, cells, strict=True):
        due, left, state, metric, *about = map(shown, row)
        style = "bold red" if clock.breached_at is not None else "bold"
        mark = "" if state == str(ClockState.RUNNING) else f"  {state}"
        print_lines([Line(f"{due}  {left}  {metric}{mark}", style=style)])
        print_lines([Line(", ".join(part for part in about if part != "-"), 2, "dim")])


def _count(found: Sequence[Clock], kept: int) -> str:
    many = "1 clock" if len(found) == 1 else f"{len(found)} clocks"
    said = many if kept == len(found) else f"{kept} of {many}; --limit says how many are shown"
    late = [clock.late for clock in found if clock.breached_at is not None and clock.is_open]
    if late:
        said += f"; {len(late)} late, the longest by {length(max(late))}"
    return said + "."


def _say_nothing(desk: Desk, partner: str | None, tier: str | None, *, filtered: bool) -> None:
    say("No clock matches." if filtered else "No clock runs.")
    knowledge = desk.knowledge
    partners = knowledge.recipients.directory.partners
    if partner is not None and partner not in partners:
        say(f"The directory lists no partner {shown(partner)}.{closest(partner, partners)}")
    tiers = (*knowledge.policy.partner_tiers, *knowledge.policy.tiers)
    if tier is not None and tier not in tiers:
        say(f"There is no tier {shown(tier)}; tiers are {', '.join(tiers)}.")
