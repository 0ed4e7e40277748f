"""`detente scorecard`: how a month went with one partner."""

import click

from detente.clock_lists import world_of
from detente.desk import Desk, open_desk
from detente.output import RefusedError, print_table, shown
from detente.report_formats import (
    Format,
    figure_named,
    remark_issue,
    rendered,
    report_options,
    write,
)
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
@report_options
@click.option(
    "--for",
    "audience",
    type=click.Choice([_US, _PARTNER]),
    default=_US,
    show_default=True,
    help="A version for the partner has nothing confidential in it.",
)
@db_option
def scorecard(  # noqa: PLR0913 - one argument for each option
    partner: str,
    *,
    month: str | None,
    form: str,
    as_json: bool,
    output: str | None,
    figure: str | None,
    freeze: bool,
    restate: bool,
    number: int | None,
    draft: bool,
    audience: str,
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
    wanted_form = Format.JSON if as_json else Format(form)
    with open_desk(db) as desk:
        wanted = _month(desk, partner, month)
        if freeze or restate:
            _issue(desk, partner, wanted, restate=restate)
        report, table = _find(desk, partner, wanted, figure, number, draft=draft)
    if audience == _PARTNER:
        report = for_audience(report, FOR_PARTNER)
    if figure is None:
        write(rendered(report, wanted_form, to_file=output is not None), output)
        return
    figure_named(report, figure)
    assert table is not None, "every figure of a scorecard has rows"
    if wanted_form is Format.JSON:
        write(table.model_dump_json(indent=2) + "\n", output)
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
    remark_issue(month.key, issued, restate=restate)


def _find(
    desk: Desk,
    partner: str,
    month: Month,
    figure: str | None,
    number: int | None,
    *,
    draft: bool,
) -> tuple[Report, Table | None]:
    with desk.store.reading() as tx:
        found = None if draft else issued_scorecard(tx, partner, month, number)
        if found is None and number is not None:
            raise RefusedError(f"{month.key} has no issue {number}")
        if found is None:
            made = scorecard_of(tx, world_of(desk), partner, month, desk.now)
            rows = None if figure is None else made.behind(figure)
            return made.report, None if rows is None else rows.table()
    rows = None if figure is None else found.behind(figure)
    return found.report, None if rows is None else rows.table()
