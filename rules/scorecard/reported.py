"""Figures of other systems: what they reported for the month, as they reported it."""

from collections.abc import Iterator

from rules.partner_months import PartnerMonths
from rules.report_parts import LISTED, plain, unlisted
from rules.scorecard.sheet import Sheet
from schemas.report import Figure, Section, Unit, Visibility


def reported_sections(m: PartnerMonths, sheet: Sheet) -> Iterator[Section]:
    """A section where anything was reported in these months: first what the partner sees."""
    names = sorted({name for month in m.months for name in month.said})
    found = [_figure(m, sheet, name) for name in names]
    found.sort(key=lambda f: (f.visibility is Visibility.CONFIDENTIAL, f.value is None))
    if found:
        more = unlisted(len(found) - LISTED, "metric")
        yield Section(
            id="reported",
            title="Reported by other systems",
            text=(more,) if more else (),
            figures=tuple(found[:LISTED]),
        )


def _figure(m: PartnerMonths, sheet: Sheet, name: str) -> Figure:
    said = [month.said.get(name) for month in m.months]
    newest = next(one for one in reversed(said) if one is not None)
    unit = newest.unit or ""
    *before, now = (None if one is None else one.value for one in said)
    shared = name in m.policy.document.reporting.shared_metrics
    return sheet.put(
        Figure(
            id=f"reported/{name}",
            label=name.replace("_", " ").capitalize(),
            value=now,
            shown="not reported" if now is None else f"{plain(now)} {unit}".strip(),
            unit=Unit.PERCENT if unit in ("percent", "%") else Unit.NUMBER,
            definition=f"The last value of {name} for the month that {newest.source} reported; "
            "what it counts is that system's.",
            before=tuple(before),
            visibility=Visibility.JOINT if shared else Visibility.CONFIDENTIAL,
        ),
        ("month", "value", "period", "reported", "by"),
        lambda: (
            (month.month.key, plain(x.value), x.period or "", sheet.local(x.at), x.source)
            for month, x in zip(m.months, said, strict=True)
            if x is not None
        ),
        ("value",),
    )
