"""`detente digest`: the weekly digest, as it was issued or as it would be now."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from detente.clock_lists import world_of
from detente.desk import Desk, open_desk
from detente.output import (
    RefusedError,
    is_terminal,
    print_table,
    progress_bar,
    say,
)
from detente.report_formats import (
    Format,
    figure_named,
    remark_issue,
    rendered,
    report_options,
    write,
)
from detente.settings import db_option
from rules.deadlines import in_words
from rules.digest.digest import Digest
from rules.digest.period import Days, read_period, week_at
from rules.report_parts import many
from schemas.report import Report
from schemas.time import SECOND, Instant, local_text, to_instant
from streams.digests import Digests, PeriodError

#: Columns of rows that people are shown, where they have them; the rest stands in `--json`.
_SHOWN = ("name", "about", "partner", "metric", "tier", "rule", "kind", "outcome", "due", "asked",
          "at", "from", "until", "acknowledged", "stopped", "late_seconds", "counted_seconds",
          "not_counted_seconds", "role", "holder", "excused_by", "actor", "agreed_by", "reason",
          "summary", "question", "waits_seconds")  # fmt: skip
_MOMENTS = frozenset({"due", "asked", "at", "from", "until", "acknowledged", "stopped"})
_SECONDS = "_seconds"


@click.command()
@click.option("--week", metavar="WEEK", help="E.g. 2026-W47.  [default: the last that is over]")
@click.option("--year", metavar="YEAR", help="A whole year instead of a week: 2026.")
@report_options
@click.option("--rebuild", is_flag=True, help="Make the ledger behind it anew first.")
@db_option
def digest(  # noqa: PLR0913 - the options of a command
    *,
    week: str | None,
    year: str | None,
    form: str,
    as_json: bool,
    output: str | None,
    figure: str | None,
    freeze: bool,
    restate: bool,
    number: int | None,
    rebuild: bool,
    draft: bool,
    db: str | None,
) -> None:
    """Show the digest of a week: promises kept and broken, escalations, what needs a decision.

    A week that was issued is shown as it was issued; any other is a draft, as known now.
    docs/digest.md says what each figure means.

    \b
    The week before:        detente digest
    What is behind it:      detente digest --explain breaches/all
    A page for a browser:   detente digest --week 2026-W47 --format html -o digest.html
    After late events:      detente digest --week 2026-W47 --restate
    """
    wanted = Format.JSON if as_json else Format(form)
    with open_desk(db) as desk:
        digests = Digests(desk.store, world_of(desk))
        period = _period(digests, desk, week, year)
        if rebuild:
            digests.ledger.rebuild()
        try:
            if freeze or restate:
                _issue(digests, period, desk.now, restate=restate)
            report, rows = _find(digests, desk, period, figure, number, draft=draft)
        except PeriodError as error:
            raise RefusedError(str(error)) from None
    if figure is None:
        write(rendered(report, wanted, to_file=output is not None), output)
    else:
        _explain(report, figure, rows, wanted, output)


def _period(digests: Digests, desk: Desk, week: str | None, year: str | None) -> Days:
    if week is not None and year is not None:
        raise click.UsageError("--week and --year are about different periods; give one of them")
    zone = digests.ledger.zone
    if week is None and year is None:
        return week_at(desk.now, zone).shifted(-1)
    option = "--week" if year is None else "--year"
    try:
        found = read_period(week or year or "", zone)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None
    if found.is_week != (option == "--week"):
        raise click.BadParameter(
            f"{found.key} is a {'week' if found.is_week else 'year'}", param_hint=option
        )
    return found


def _issue(digests: Digests, period: Days, now: Instant, *, restate: bool) -> None:
    if not period.is_week:
        raise RefusedError("weeks are issued; a year can be looked at")
    before = digests.issued(period.key)
    if restate and before is None:
        raise RefusedError(f"{period.key} has not been issued; --issue does that")
    issued = digests.issue(period, now, restate=restate)
    remark_issue(period.key, issued, restate=restate)


def _find(
    digests: Digests, desk: Desk, period: Days, figure: str | None, number: int | None,
    *, draft: bool,
) -> tuple[Report, Sequence[Mapping[str, Any]]]:  # fmt: skip
    issued = None if draft else digests.issued(period.key, number)
    if issued is None and number is not None:
        raise RefusedError(f"{period.key} has no issue {number}")
    if issued is not None:
        return issued.report, () if figure is None else issued.evidence.of(figure)
    made = _drafted(digests, period, desk.now)
    if figure is None or figure not in made.questions:
        return made.report, ()
    return made.report, digests.explain(period, desk.now, made, figure).of(figure)


def _drafted(digests: Digests, period: Days, now: Instant) -> Digest:
    if not is_terminal(err=True):
        return digests.draft(period, now)
    with progress_bar() as bar:
        waiting = digests.ledger.waiting(now)
        task = bar.add_task("Bringing the ledger up to date", total=waiting)
        return digests.draft(period, now, lambda posted: bar.advance(task, posted))


def _explain(
    report: Report,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    form: Format,
    output: str | None,
) -> None:
    figure = figure_named(report, name)
    if form is Format.JSON:
        document = {"figure": figure.model_dump(mode="json"), "rows": list(rows)}
        write(json.dumps(document, indent=2, ensure_ascii=False) + "\n", output)
        return
    say(f"{figure.label}: {figure.shown}")
    say(figure.definition)
    zone = ZoneInfo(report.period.timezone)
    names = [name for name in _SHOWN if any(row.get(name) not in (None, "", 0) for row in rows)]
    heads = [name.removesuffix(_SECONDS).replace("_", " ") for name in names]
    cells = [[_cell(name, row.get(name), zone) for name in names] for row in rows]
    print_table(heads, cells, empty="No row.")
    issue = f"issue {report.issue}" if report.issue else "a draft"
    say(f"{many(len(rows), 'row')}, of {issue}.")


def _cell(name: str, value: Any, zone: ZoneInfo) -> object:
    """A part of a row for people: instants in the zone of the report, lengths in words."""
    if value is not None and name in _MOMENTS:
        return local_text(to_instant(datetime.fromisoformat(value)), zone)
    if name.endswith(_SECONDS):
        return in_words(value * SECOND) if value else ""
    return value
