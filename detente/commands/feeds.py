"""`detente feeds`: the sources of events, and what waits for them."""

from operator import attrgetter
from typing import Any

import click

from detente.client import is_of_a_cluster
from detente.desk import Desk, feed_watch, is_served, moment, open_desk
from detente.moments import ago
from detente.output import RefusedError, json_option, print_json, print_table, say
from detente.settings import db_option
from rules.decision import Kind
from schemas.policy import About
from schemas.time import Instant
from streams.feeds import BY_INTAKE
from streams.horizon import FeedReport, FeedWatch, horizon_of_file
from streams.store import Counter, Transaction

#: What is taken all the same, by the name under which it is counted.
_SURPRISES = {
    "unknown field": "field that nobody knows",
    "unknown partner": "partner whom the directory lacks",
    "stamped in the future": "time in the future",
}
_LISTED = 20


@click.command()
@click.option(
    "--release", metavar="SOURCE", help="Wait for no intake to bring SOURCE: it sends otherwise."
)
@json_option
@db_option
def feeds(release: str | None, as_json: bool, db: str | None) -> None:
    """Show each source of events: when it was last heard of, and what waits for it.

    Nobody is called late for want of a report. If a source that should send every hour falls
    silent, the deadlines that depend on it are held until it speaks again; they are counted here.
    In a cluster they are held as well while no intake is open for a source that sends by one; where
    none will be again, --release lets go of it.

    Below stands what was taken and looks wrong, such as a field whose name is written differently.

    \b
    detente feeds
    detente feeds --json
    detente feeds --release /erp
    """
    with open_desk(db) as desk:
        if release is not None:
            _release(desk, release)
        with desk.store.reading() as tx:
            policy = desk.knowledge.policies.at(desk.now).document
            watch = feed_watch(tx, policy)
            reports = watch.reports(desk.now)
            held = {report.source: _held(tx, watch, report, desk.now) for report in reports}
            served = is_served(tx, desk.now)
            surprises = _surprises(desk, tx)
        if as_json:
            listed = [_document(report, held[report.source]) for report in reports]
            document = {"at": moment(desk.now), "service_runs": served, "feeds": listed}
            print_json(document | {"surprises": [_surprise(counter) for counter in surprises]})
            return
        _show(desk, reports, held)
        _show_surprises(surprises)
        if not served:
            process = "worker" if is_of_a_cluster(desk.settings.db) else "serve"
            say(f"No service is running: no deadline is decided until `detente {process}` runs.")


def _release(desk: Desk, source: str) -> None:
    with desk.store.transaction() as tx:
        if not tx.drop_setting(BY_INTAKE + source):
            by_intake = ", ".join(sorted(tx.settings(BY_INTAKE))) or "none"
            raise RefusedError(f"{source!r} does not send by an intake; those that do: {by_intake}")


def _held(tx: Transaction, watch: FeedWatch, report: FeedReport, now: Instant) -> int:
    """How many deadlines have passed that are not decided because of this source."""
    declared = watch.policy.sources.get(report.source)
    about = tuple(About) if declared is None else declared.about
    usual = horizon_of_file(watch.policy, now - 1)
    return sum(
        tx.count_held(kind, report.read_until, Instant(usual.feeds(kind)))
        for kind in Kind
        if (About.TICKETS if kind is Kind.TICKET else About.ORDERS) in about
    )


def _surprises(desk: Desk, tx: Transaction) -> list[Counter]:
    """The most frequent first. A partner who was entered since is none any more."""
    knows = desk.knowledge.recipients.knows
    found = [
        counter
        for what in _SURPRISES
        for counter in tx.counters(what)
        if what != "unknown partner" or not knows(counter.name)
    ]
    return sorted(found, key=attrgetter("n"), reverse=True)


def _status(report: FeedReport) -> str:
    if report.last_recorded_at is None:
        return "silent: never heard of" if report.is_silent else "never heard of"
    if report.is_shut:
        return "no intake is open"
    if report.is_silent:
        return "silent"
    return "catching up" if report.in_grace else "heard"


def _show(desk: Desk, reports: list[FeedReport], held: dict[str, int]) -> None:
    def when(at: Instant | None) -> str:
        return "never" if at is None else ago(at, desk.now)

    print_table(
        ("source", "state", "last heard", "newest event", "cadence", "reports late by", "held"),
        [
            (
                report.source,
                _status(report),
                when(report.last_recorded_at),
                when(report.last_event_at),
                report.cadence or "any",
                report.reporting_lag,
                held[report.source],
            )
            for report in reports
        ],
        empty="No source was ever heard of, and the policy declares none.",
        numbers=("held",),
    )


def _show_surprises(surprises: list[Counter]) -> None:
    if not surprises:
        return
    say()
    some = f" (the first {_LISTED} of {len(surprises)})" if len(surprises) > _LISTED else ""
    print_table(
        ("source", "what", "name", "times"),
        [(c.source, _SURPRISES[c.what], c.name, c.n) for c in surprises[:_LISTED]],
        title=f"Taken, but it looks wrong{some}",
        numbers=("times",),
    )


def _document(report: FeedReport, held: int) -> dict[str, Any]:
    return {
        "source": report.source,
        "state": _status(report),
        "silent": report.is_silent,
        "catching_up": report.in_grace,
        "shut": report.is_shut,
        "last_recorded_at": moment(report.last_recorded_at),
        "last_event_at": moment(report.last_event_at),
        "cadence": report.cadence,
        "reporting_lag": report.reporting_lag,
        "read_until": moment(report.read_until) if report.read_until > 0 else None,
        "held": held,
    }


def _surprise(counter: Counter) -> dict[str, Any]:
    return {
        "source": counter.source,
        "what": counter.what,
        "name": counter.name,
        "times": counter.n,
    }
