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
from rules.scorecard import FOR_PARTNER
from schemas.documents import closest
from schemas.report import Report, Table
from streams.scorecards import (
    issued_scorecard,
    known_partners,
    partner_is_known,
    scorecard_of,
)

_US, _PARTNER = "us", "partner"


@click.command()
@click.argument("partner", metavar="PARTNER")
@click.option("--month", metavar="MONTH", help="E.g. 2026-10.  [default: the last that is over]")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(Format), case_sensitive=False),
    default=Format.TERMINAL,
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
@click.option("--draft", is_flag=True, help="As it would be now, though it has been issued.")
@db_option
def scorecard(
    partner: str,
    *,
    month: str | None,
    form: str,
    output: str | None,
    figure: str | None,
    audience: str,
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
        report, table = _find(desk, partner, month, figure, draft=draft)
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


def _find(
    desk: Desk, partner: str, month: str | None, figure: str | None, *, draft: bool
) -> tuple[Report, Table | None]:
    world = world_of(desk)
    zone = world.zone(partner)
    wanted = Month.of(desk.now + 1, zone).plus(-1) if month is None else _month(month)
    if desk.now <= wanted.begin(zone):
        raise click.BadParameter(f"{wanted.label} has not begun", param_hint="--month")
    with desk.store.reading() as tx:
        if not partner_is_known(tx, world, partner):
            known = known_partners(tx, world)
            hint = closest(partner, known)
            named = f" Partners are: {', '.join(map(shown, known[:10]))}" if known else ""
            more = ", ..." if len(known) > 10 else ""
            raise RefusedError(
                f"nothing is known of a partner {shown(partner)}.{hint or named + more}"
            )
        if not draft:
            issued = issued_scorecard(tx, partner, wanted)
            if issued is not None:
                return issued.report, None if figure is None else issued.rows(figure)
        found = scorecard_of(tx, world, partner, wanted, desk.now)
        return found.report, None if figure is None else found.rows(figure)


def _month(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--month") from None


def _write(text: str, output: str | None) -> None:
    if output is None:
        say(text.removesuffix("\n"))
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RefusedError(f"{output} cannot be written: {error.strerror}") from None
    remark(f"Written to {output}.")
