"""Axes: from values to shares of the room that a chart has, with round numbers along it."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from schemas.report import Chart, ChartKind, Unit

_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`, which differ."""

    low: Decimal
    high: Decimal
    ticks: tuple[Decimal, ...]

    def at(self, value: Decimal) -> float:
        """Where a value lies: 0 at the low end, 1 at the high end."""
        share = float((value - self.low) / (self.high - self.low))
        return min(max(share, 0.0), 1.0)


def scale_of(chart: Chart) -> Scale | None:
    """The axis of a chart's values; None if it has none."""
    shown = [value for series in chart.series for value in series.values if value is not None]
    if not shown:
        return None
    if chart.kind is ChartKind.STACKED:
        shown = [total for at in range(len(chart.points)) for total in _stack(chart, at)]
    if chart.target is not None:
        shown.append(chart.target)
    if chart.kind is not ChartKind.LINES:
        shown.append(Decimal(0))
    is_share = chart.unit is Unit.PERCENT and min(shown) >= 0 and max(shown) <= 100
    if is_share and chart.kind is ChartKind.BARS:
        shown.append(Decimal(100))  # bars of shares are read against the whole
    return _around(shown, is_share=is_share)


def _stack(chart: Chart, at: int) -> tuple[Decimal, Decimal]:
    """How far down and up the bar over a point reaches."""
    parts = [series.values[at] for series in chart.series]
    values = [part for part in parts if part is not None]
    return sum((v for v in values if v < 0), Decimal(0)), sum(
        (v for v in values if v > 0), Decimal(0)
    )


def _around(values: Iterable[Decimal], *, is_share: bool) -> Scale:
    found = list(values)
    low, high = min(found), max(found)
    if high - low <= abs(high) * Decimal("1e-9"):  # one value, or as good as one
        room = abs(high) / 10 if high else Decimal(1)
        low, high = (low if low == 0 else low - room), high + room
    raw = (high - low) / 3
    power = Decimal(1).scaleb(raw.adjusted())
    step = next(power * factor for factor in _STEPS if power * factor >= raw)
    first = (low / step).to_integral_value(ROUND_FLOOR)
    last = (high / step).to_integral_value(ROUND_CEILING)
    ticks = [n * step for n in map(Decimal, range(int(first), int(last) + 1))]
    if is_share:
        ticks = [tick for tick in ticks if 0 <= tick <= 100]
        low, high = max(first * step, Decimal(0)), min(last * step, Decimal(100))
        return Scale(low, high, tuple(ticks))
    return Scale(ticks[0], ticks[-1], tuple(ticks))
