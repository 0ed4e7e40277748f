"""`detente feeds`: the sources of events, and what waits for them."""

from typing import Any

import click

from detente.desk import Desk, feed_watch, is_served, moment, open_desk
from detente.moments import ago
from detente.output import json_option, print_json, print_table, say
from detente.settings import db_option
from rules.decision import Kind
from schemas.policy import About
from schemas.time import Instant
from streams.horizon import FeedReport, FeedWatch, horizon_of_file
from streams.store import Transaction


@click.command()
@json_option
@db_option
def feeds(as_json: bool, db: str | None) -> None:
    """Show each source of events: when it was last heard of, and what waits for it.

    Nobody is called late for want of a report. If a source that should send every hour falls
    silent, the deadlines that depend on it are held until it speaks again; they are counted here.

    \b
    detente feeds
    detente feeds --json
    """
    with open_desk(db) as desk:
        with desk.store.reading() as tx:
            policy = desk.knowledge.policies.at(desk.now).document
            watch = feed_watch(tx, policy)
            reports = watch.reports(desk.now)
            held = {report.source: _held(tx, watch, report, desk.now) for report in reports}
            served = is_served(tx, desk.now)
        if as_json:
            listed = [_document(report, held[report.source]) for report in reports]
            print_json({"at": moment(desk.now), "service_runs": served, "feeds": listed})
            return
        _show(desk, reports, held)
        if not served:
            say("No service is running: no deadline is decided until `detente serve` runs.")


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


def _status(report: FeedReport) -> str:
    if report.last_recorded_at is None:
        return "silent: never heard of" if report.is_silent else "never heard of"
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


def _document(report: FeedReport, held: int) -> dict[str, Any]:
    return {
        "source": report.source,
        "state": _status(report),
        "silent": report.is_silent,
        "catching_up": report.in_grace,
        "last_recorded_at": moment(report.last_recorded_at),
        "last_event_at": moment(report.last_event_at),
        "cadence": report.cadence,
        "reporting_lag": report.reporting_lag,
        "read_until": moment(report.read_until) if report.read_until > 0 else None,
        "held": held,
    }
