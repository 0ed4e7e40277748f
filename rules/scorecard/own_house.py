"""What is for our house alone: cases by tier, and the value that is overdue."""

from collections.abc import Iterable
from decimal import Decimal

from rules.delivery_figures import ZERO
from rules.partner_months import PartnerMonths
from rules.report_parts import many
from rules.scorecard.sheet import Sheet
from schemas.report import Figure, Section, Unit, Visibility


def own_house_section(m: PartnerMonths, sheet: Sheet) -> Section:
    """Cases at each tier, and the overdue value in each currency."""
    currencies = sorted({currency for currency, _ in m.overdue.values() if currency})
    cases = (_cases_at(m, sheet, tier) for tier in m.policy.tiers)
    values = (_overdue(m, sheet, currency) for currency in currencies)
    return Section(id="escalations", title="In our house", figures=(*cases, *values))


def _cases_at(m: PartnerMonths, sheet: Sheet, tier: str) -> Figure:
    return sheet.put(
        sheet.number(
            f"escalations/{tier}",
            f"Cases at {tier}",
            Unit.COUNT,
            f"Cases that were opened at, raised to or escalated to {tier} in the month, each once; "
            "without those proved wrong since.",
            lambda month: Decimal(len(month.escalated.get(tier, ()))),
            visibility=Visibility.CONFIDENTIAL,
        ),
        ("case",),
        lambda: ((case,) for case in sorted(m.last.escalated.get(tier, ()))),
    )


def _overdue(m: PartnerMonths, sheet: Sheet, currency: str) -> Figure:
    late = {key: value for key, (c, value) in m.overdue.items() if c == currency}
    unpriced = sum(1 for c, _ in m.overdue.values() if not c)
    beside = f" Not in it: {many(unpriced, 'order')} without a price." if unpriced else ""
    value = sum(late.values(), ZERO)

    def rows() -> Iterable[tuple[str, ...]]:
        most = sorted(late.items(), key=lambda entry: (-entry[1], entry[0]))
        return ((order_id, f"{value:,.2f}") for order_id, value in most)

    return sheet.put(
        Figure(
            id=f"exposure/{currency}",
            label=f"Overdue value, {currency}",
            value=value,
            shown=f"{value:,.2f} {currency}",
            unit=Unit.MONEY,
            definition="Value, at the order's prices, of what was undelivered past its promise at "
            f"the end of the month.{beside}",
            n=len(late),
            counts="orders",
            visibility=Visibility.CONFIDENTIAL,
        ),
        ("order", "value"),
        rows,
        ("value",),
    )
