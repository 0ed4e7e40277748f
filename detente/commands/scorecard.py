"""`detente scorecard`: how a month went with one partner."""

from pathlib import Path

import click

from detente.clock_lists import world_of
from detente.desk import Desk, open_desk
from detente.output import RefusedError, print_json, print_table, remark, say, shown
from detente.report_formats import Format, rendered
from detente.settings import db_option
from notifiers.report import for_audience
from rules.months import Month
from rules.scorecard.scorecard import FOR_PARTNER
from schemas.documents import closest
from schemas.report import Report, Table
from streams.scorecards import (
    issue_scorecard,
    issued_scorecard,
    known_partners,
    partner_is_known,
    scorecard_of,
)

_US, _PARTNER = "us", "partner"
#: Partners that a message names.
_NAMED = 10


@click.command()
@click.argument("partner", metavar="PARTNER")
@click.option("--month", metavar="MONTH", help="E.g. 2026-10.  [default: the last that is over]")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(Format), case_sensitive=False),
    default=Format.TERMINAL.value,
    show_default=True,
    help="What to print.",
)
@click.option("-o", "--output", metavar="FILE", help="Write it to a file.")
@click.option("--explain", "figure", metavar="FIGURE", help="List the rows behind a figure.")
@click.option(
    "--for",
    "audience",
    type=click.Choice([_US, _PARTNER]),
    default=_US,
    show_default=True,
    help="A version for the partner has nothing confidential in it.",
)
@click.option("--issue", "freeze", is_flag=True, help="Freeze it: it never changes again.")
@click.option("--restate", is_flag=True, help="Issue it anew if later events have changed it.")
@click.option("--draft", is_flag=True, help="As it would be now, though it has been issued.")
@db_option
def scorecard(  # noqa: PLR0913 - one argument for each option
    partner: str,
    *,
    month: str | None,
    form: str,
    output: str | None,
    figure: str | None,
    audience: str,
    freeze: bool,
    restate: bool,
    draft: bool,
    db: str | None,
) -> None:
    """Show how a month went with a partner: deliveries, quality, problems, promises.

    PARTNER is its id. A month that has been issued is shown as it was issued; one that is not over
    is a draft. docs/scorecard.md says what each figure means.

    \b
    The month before:   detente scorecard nordlicht
    What is behind it:  detente scorecard nordlicht --explain otif
    A page to hand on:  detente scorecard nordlicht --for partner --format html -o card.html
    """
    with open_desk(db) as desk:
        wanted = _month(desk, partner, month)
        if freeze or restate:
            _issue(desk, partner, wanted, restate=restate)
        report, table = _find(desk, partner, wanted, figure, draft=draft)
    if audience == _PARTNER:
        report = for_audience(report, FOR_PARTNER)
    if figure is None:
        _write(rendered(report, Format(form), to_file=output is not None), output)
        return
    if report.figure(figure) is None or table is None:
        names = [each.id for each in report.all_figures()]
        raise RefusedError(
            f"this scorecard has no figure {shown(figure)}."
            + (closest(figure, names) or f" It has: {', '.join(names)}")
        )
    if Format(form) is Format.JSON:
        print_json(table.model_dump(mode="json"))
        return
    print_table(
        [column.title for column in table.columns],
        [[cell.text for cell in row] for row in table.rows],
        title=table.title,
        empty=table.empty,
        numbers=[column.title for column in table.columns if column.numeric],
    )


def _month(desk: Desk, partner: str, text: str | None) -> Month:
    world = world_of(desk)
    with desk.store.reading() as tx:
        if not partner_is_known(tx, world, partner):
            known = known_partners(tx, world)
            named = f" Partners are: {', '.join(map(shown, known[:_NAMED]))}" if known else ""
            more = ", ..." if len(known) > _NAMED else ""
            raise RefusedError(
                f"nothing is known of a partner {shown(partner)}."
                f"{closest(partner, known) or named + more}"
            )
    zone = world.zone(partner)
    if text is None:
        return Month.of(desk.now + 1, zone).plus(-1)
    try:
        found = Month.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--month") from None
    if desk.now <= found.begin(zone):
        raise click.BadParameter(f"{found.label} has not begun", param_hint="--month")
    return found


def _issue(desk: Desk, partner: str, month: Month, *, restate: bool) -> None:
    with desk.store.reading() as tx:
        before = issued_scorecard(tx, partner, month)
    if restate and before is None:
        raise RefusedError(f"{month.key} has not been issued; --issue does that")
    try:
        issued = issue_scorecard(
            desk.store, world_of(desk), partner, month, desk.now, restate=restate
        )
    except ValueError as error:
        raise RefusedError(str(error)) from None
    if issued is not None:
        again = f"Restated (issue {issued.report.issue})" if issued.report.issue > 1 else "Issued"
        remark(f"{again}: {month.key}")
    elif restate:
        remark(f"Nothing that came later changes a figure of {month.key}; it stays as it is.")
    else:
        remark(f"{month.key} was issued before and stays as it is; --restate issues it anew.")


def _find(
    desk: Desk, partner: str, month: Month, figure: str | None, *, draft: bool
) -> tuple[Report, Table | None]:
    with desk.store.reading() as tx:
        found = None if draft else issued_scorecard(tx, partner, month)
        if found is None:
            made = scorecard_of(tx, world_of(desk), partner, month, desk.now)
            rows = None if figure is None else made.behind(figure)
            return made.report, None if rows is None else rows.table()
    rows = None if figure is None else found.behind(figure)
    return found.report, None if rows is None else rows.table()


def _write(text: str, output: str | None) -> None:
    if output is None:
        say(text.removesuffix("\n"))
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RefusedError(f"{output} cannot be written: {error.strerror}") from None
    remark(f"Written to {output}.")
