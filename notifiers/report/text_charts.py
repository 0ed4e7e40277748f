"""Charts drawn with letters: for terminals, plain mails, Markdown and Slack."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from notifiers.render import plain
from notifiers.report.columns import cut, filled, width
from notifiers.report.scale import Scale, scale_of
from notifiers.report.wording import MARKS, amount, goal, number
from schemas.report import Chart, ChartKind, Series, Unit

NO_VALUES = "No values."
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"
_SHADES = "█▒▓░"
_SHORTEST_BAR = 8
#: Where each point takes a row, only so many of a way through time are shown.
_RECENT = 12


def chart_lines(chart: Chart, columns: int) -> list[str]:
    """The chart without its title, in lines of at most so many columns (30 at least)."""
    scale = scale_of(chart)
    if scale is None:
        return [NO_VALUES]
    draw = {ChartKind.BARS: _bars, ChartKind.STACKED: _stacks, ChartKind.LINES: _lines}[chart.kind]
    lines = list(draw(chart, scale, columns))
    if chart.target is not None:
        lines.append(f"target {goal(chart.target, chart.unit)}")
    return lines


def label(series: Series) -> str:
    """The name of a series, with the sign of its tone."""
    return f"{MARKS[series.tone]} {plain(series.label)}".strip()


def points(chart: Chart) -> list[tuple[str, list[Decimal | None]]]:
    """Each point with the values of all series over it."""
    values = zip(*(series.values for series in chart.series), strict=True)
    return [(plain(point), list(found)) for point, found in zip(chart.points, values, strict=True)]


def sums(values: Iterable[Decimal | None], unit: Unit) -> str:
    """The parts of a stacked bar: `980 · 50 · 4`."""
    return " · ".join(number(value, unit) for value in values)


def recent(chart: Chart, most: int = _RECENT) -> Chart:
    """The chart with its last points only."""
    if len(chart.points) <= most:
        return chart
    cut_series = [s.model_copy(update={"values": s.values[-most:]}) for s in chart.series]
    return chart.model_copy(update={"points": chart.points[-most:], "series": tuple(cut_series)})


def left_out(chart: Chart, shown: Chart) -> str:
    """What to say of a chart that is shown with its last points only; empty if it is whole."""
    most, every = len(shown.points), len(chart.points)
    return "" if most == every else f"The last {most} of {every}."


def _bars(chart: Chart, scale: Scale, columns: int) -> Iterator[str]:
    rows = [
        (name if len(chart.series) == 1 else f"{name}, {label(series)}", value)
        for at, name in enumerate(map(plain, chart.points))
        for series in chart.series
        for value in [series.values[at]]
    ]
    shown = [amount(value, chart.unit, chart.target) for _, value in rows]
    last = max(map(width, shown))
    first = min(max(width(name) for name, _ in rows), columns - last - _SHORTEST_BAR - 2)
    room = columns - first - last - 2
    for (name, value), text in zip(rows, shown, strict=True):
        bar = "" if value is None else _bar(scale.at(value) - scale.at(Decimal(0)), room)
        end = filled(text, last, right=True)
        yield f"{filled(cut(name, first), first)} {filled(bar, room)} {end}"


def _bar(share: float, room: int) -> str:
    """A bar of whole and eighths of a letter; what is below zero is left to its number."""
    eighths = max(round(share * room * 8), 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + _EIGHTHS[rest].strip()


def _stacks(chart: Chart, scale: Scale, columns: int) -> Iterator[str]:
    shades = [_SHADES[at % len(_SHADES)] for at in range(len(chart.series))]
    for shade, series in zip(shades, chart.series, strict=True):
        yield cut(f"{shade} {label(series)}", columns)
    shown = recent(chart)
    rows = points(shown)
    ends = [sums(values, chart.unit) for _, values in rows]
    last = min(max(map(width, ends)), columns // 2)
    first = min(max(width(name) for name, _ in rows), columns - last - _SHORTEST_BAR - 2)
    room = columns - first - last - 2
    zero = scale.at(Decimal(0))
    for (name, values), text in zip(rows, ends, strict=True):
        bar, reached, drawn = "", Decimal(0), 0
        for shade, value in zip(shades, values, strict=True):
            if value is not None and value > 0:
                reached += value
                upto = round((scale.at(reached) - zero) * room)
                bar += shade * (upto - drawn)
                drawn = upto
        end = filled(cut(text, last), last, right=True)
        yield f"{filled(cut(name, first), first)} {filled(bar, room)} {end}"
    if note := left_out(chart, shown):
        yield note


def _lines(chart: Chart, scale: Scale, columns: int) -> Iterator[str]:
    shown = [amount(series.values[-1], chart.unit, chart.target) for series in chart.series]
    last = max(map(width, shown))
    names = [label(series) for series in chart.series]
    room = min(len(chart.points), max(columns // 2, _SHORTEST_BAR))
    first = min(max(map(width, names)), columns - room - last - 2)
    left = len(chart.points) - room
    for series, name, text in zip(chart.series, names, shown, strict=True):
        line = "".join(" " if v is None else _height(scale.at(v)) for v in series.values[left:])
        yield f"{filled(cut(name, first), first)} {line} {filled(text, last, right=True)}"
    begin, end = plain(chart.points[left]), plain(chart.points[-1])
    yield cut(f"{begin} to {end}" if room > 1 else end, columns)


def _height(share: float) -> str:
    return _HEIGHTS[round(share * (len(_HEIGHTS) - 1))]
