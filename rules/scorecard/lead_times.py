"""Lead times: how long orders took, and how evenly."""

from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from rules.attainment import quantile
from rules.deadlines import in_words
from rules.partner_months import PartnerMonths, lead_times
from rules.report_parts import many
from rules.scorecard.sheet import TENTH, Sheet, days
from schemas.report import Figure, Section, Unit

_OF = (
    "from the order to the delivery after which nothing more was to come, of the orders of which "
    "that delivery came in the month, in days of 24 hours"
)


def lead_time_section(m: PartnerMonths, sheet: Sheet) -> Section:
    """Median, 90th percentile and spread of the orders that were completed in the month."""
    n = sum(1 for _ in lead_times(m.last))
    none = "one order says nothing" if n else "none completed"

    def put(figure: Figure) -> Figure:
        return sheet.put(figure, ("order", "complete", "took"), lambda: _rows(m, sheet))

    def time(
        name: str, label: str, what: str, measure: Callable[[Sequence[int]], int | None]
    ) -> Figure:
        return put(
            sheet.number(
                f"lead_time/{name}",
                f"Lead time, {label}",
                Unit.DAYS,
                f"{what} {_OF}.",
                lambda month: days(measure(sorted(lead_times(month)))),
                n=n,
                counts="orders",
                none=none,
            )
        )

    figures = (
        time("median", "median", "Median time", lambda times: quantile(times, 50)),
        time(
            "p90",
            "9 of 10 within",
            "What nine of ten did not exceed (nearest rank)",
            lambda times: quantile(times, 90),
        ),
        time(
            "deviation",
            "standard deviation",
            "Standard deviation (n - 1) of the time",
            deviation,
        ),
        put(
            sheet.number(
                "lead_time/variation",
                "Lead time, variation",
                Unit.PERCENT,
                "Coefficient of variation: the standard deviation divided by the mean of the time "
                f"{_OF}.",
                lambda month: variation(list(lead_times(month))),
                n=n,
                counts="orders",
                none=none,
            )
        ),
    )
    early = sum(1 for x in m.last.handled if x.done_at is not None and x.lead_time is None)
    text = f"{many(early, 'order')} left out: the goods came before the order was entered."
    return Section(
        id="lead_time",
        title="Lead time",
        text=(text,) if early else (),
        figures=figures,
        charts=sheet.chart("Lead time over six months", Unit.DAYS, figures[:2]),
    )


def _rows(m: PartnerMonths, sheet: Sheet) -> Iterator[tuple[str, ...]]:
    """The orders that were completed, the slowest first."""
    done = [(x, x.lead_time) for x in m.last.handled if x.lead_time is not None]
    for x, took in sorted(done, key=lambda entry: (-entry[1], entry[0].order_id)):
        yield (x.order_id, sheet.local(x.done_at), in_words(took))


def deviation(values: Sequence[int]) -> int | None:
    """The sample standard deviation (n - 1) to the whole unit; None for fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    squares = n * sum(v * v for v in values) - sum(values) ** 2
    with localcontext(prec=60):
        return int((Decimal(squares) / (n * (n - 1))).sqrt().to_integral_value(ROUND_HALF_EVEN))


def variation(values: Sequence[int]) -> Decimal | None:
    """The coefficient of variation in percent; None for fewer than two values or a mean of 0."""
    spread, total = deviation(values), sum(values)
    if spread is None or total == 0:
        return None
    return (Decimal(100 * spread * len(values)) / total).quantize(TENTH, ROUND_HALF_EVEN)
