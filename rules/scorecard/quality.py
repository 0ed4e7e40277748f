"""Quality: units found defective of those delivered."""

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal

from rules.partner_months import PartnerMonth, PartnerMonths, defects
from rules.report_parts import plain
from rules.scorecard.sheet import Sheet
from schemas.report import Section, Unit


def quality_section(m: PartnerMonths, sheet: Sheet) -> Section:
    """Defects per million, counted where they are made."""

    def rows() -> Iterator[tuple[str, ...]]:
        handled = [x for x in m.last.handled if x.defective or x.delivered]
        for x in sorted(handled, key=lambda x: (-x.defective, x.order_id)):
            yield (x.order_id, plain(x.delivered), plain(x.defective))

    _, delivered = defects(m.last)
    figure = sheet.put(
        sheet.number(
            "defects_per_million",
            "Defects per million",
            Unit.PER_MILLION,
            "Units that were found damaged, wrong, of bad quality or sent back in the month, less "
            "those taken back, times a million, divided by the units delivered in the month; "
            "rounded to a whole number.",
            _per_million,
            n=int(delivered),
            counts="units delivered",
            none="none delivered",
        ),
        ("order", "units delivered", "found defective"),
        rows,
        ("units delivered", "found defective"),
    )
    return Section(
        id="quality",
        title="Quality",
        figures=(figure,),
        charts=sheet.chart("Defects over six months", Unit.PER_MILLION, [figure]),
    )


def _per_million(month: PartnerMonth) -> Decimal | None:
    defective, delivered = defects(month)
    if delivered == 0:
        return None
    return (defective * 1_000_000 / delivered).quantize(Decimal(1), ROUND_HALF_EVEN)
