"""Charts as SVG within a page, whose style sheet colours them.

They are as wide as their place: along the page, places are shares of the width and letters keep
their size, so that a chart reads as well on a telephone as on paper.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape
from itertools import pairwise

from notifiers.render import plain
from notifiers.report.columns import cut, width
from notifiers.report.scale import Scale, scale_of
from notifiers.report.style import SERIES
from notifiers.report.text_charts import points
from notifiers.report.wording import amount, goal, number
from notifiers.report.wording import before as values_before
from schemas.report import Chart, ChartKind, Figure, Series, Tone, Unit

#: Percent of the width that upright charts draw on; numbers of the axis stand beside it.
_PLOT = 87.0
_PLOT_TOP, _PLOT_HEIGHT, _BELOW = 18, 128, 22
_BAR_ROW, _BAR_HEIGHT = 33, 10
#: Letters that fit beside each other on the narrowest page.
_LETTERS = 44
_SHORT_TICK = 5
_MOST_MARKED = 16
_MOST_TOTALS = 7
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
_SHAPES = (
    "M-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0Z",
    "M-3.2,-3.2H3.2V3.2H-3.2Z",
    "M0,-4.2L4,3.2H-4Z",
    "M0,-4.6L4.2,0L0,4.6L-4.2,0Z",
    "M-4,-3.2H4L0,4.2Z",
    "M-4,-1.3H-1.3V-4H1.3V-1.3H4V1.3H1.3V4H-1.3V1.3H-4Z",
)


def looks(chart: Chart) -> list[str]:
    """The colour of each series: its tone's, where only one has it, or one of its own."""
    tones = [series.tone for series in chart.series]
    free = iter(SERIES * len(tones))
    return [
        tone.value if tone is not Tone.PLAIN and tones.count(tone) == 1 else next(free)
        for tone in tones
    ]


def target_key() -> str:
    """The sign of the target."""
    return (
        '<svg width="24" height="12" aria-hidden="true">'
        '<line x1="0" x2="24" y1="6" y2="6" class="target"/></svg>'
    )


def target(chart: Chart) -> str:
    """The target in words."""
    return "" if chart.target is None else f"target {goal(chart.target, chart.unit)}"


def is_line(chart: Chart) -> bool:
    """Whether each series is a line of its own."""
    return chart.kind is ChartKind.LINES


def drawing(chart: Chart, name: str) -> str | None:
    """The chart as an `<svg>`; None if it has no value. `name`, which begins ids, is used once."""
    scale = scale_of(chart)
    if scale is None:
        return None
    draw = {ChartKind.BARS: _bars, ChartKind.STACKED: _stacks, ChartKind.LINES: _lines}[chart.kind]
    height, parts = draw(chart, scale, name)
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" width="100%" height="{height}" '
        f'xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{name}-t">{_text(chart.title)}</title>'
        f'<desc id="{name}-d">{_text(chart.alt)}</desc>{"".join(parts)}</svg>'
    )


def key(chart: Chart, at: int) -> str:
    """The sign of a series, as it is drawn, for the line that names the series."""
    look = looks(chart)[at]
    if chart.kind is ChartKind.LINES:
        drawn = (
            f'<line x1="0" x2="24" y1="6" y2="6" class="line-{look}" stroke-width="2"{_dash(at)}/>'
            f"{_marker('12', 6, at, look)}"
        )
    else:
        drawn = f'<rect width="12" height="12" x="6" class="fill-{look}"/>'
        if look == Tone.BAD:
            drawn += '<path d="M6,12L18,0M6,6L12,0M12,12L18,6" class="hatch"/>'
    return f'<svg width="24" height="12" aria-hidden="true">{drawn}</svg>'


def spark(figure: Figure) -> str:
    """A figure's way through the periods before it, as a small line; empty without any."""
    values = (*figure.before, figure.value)
    shown = [value for value in values if value is not None]
    if len(shown) < 2:
        return ""
    low, high = min(shown), max(shown)
    room = high - low or Decimal(1)
    across = 50 / (len(values) - 1)
    places = [
        None if v is None else (3 + at * across, 17 - 14 * float((v - low) / room))
        for at, v in enumerate(values)
    ]
    path = "".join(
        f"{'L' if at and places[at - 1] else 'M'}{place[0]:.1f},{place[1]:.1f}"
        for at, place in enumerate(places)
        if place
    )
    dot = places[-1]
    end = (
        f'<circle cx="{dot[0]:.1f}" cy="{dot[1]:.1f}" r="2.5" class="fill-series1"/>' if dot else ""
    )
    said = escape(f"before: {values_before(figure)}")
    return (
        f'<svg class="spark" role="img" aria-label="{said}" width="56" height="20">'
        f'<path d="{path}" class="line-series1" stroke-width="1.5"/>{end}</svg>'
    )


# --- bars -----------------------------------------------------------------------------------------


def _bars(chart: Chart, scale: Scale, _: str) -> tuple[int, list[str]]:
    rows = [
        (f"{point}, {plain(series.label)}" if len(chart.series) > 1 else point, value, look)
        for point, values in points(chart)
        for value, series, look in zip(values, chart.series, looks(chart), strict=True)
    ]
    zero = scale.at(Decimal(0)) * 100
    top = 14 if chart.target is not None else 0
    parts = []
    for at, (name, value, look) in enumerate(rows):
        y = top + at * _BAR_ROW
        shown = amount(value, chart.unit, chart.target)
        short = cut(name, _LETTERS - width(shown) - 2)
        full = f"<title>{escape(name)}</title>" if short != name else ""
        parts.append(f'<text y="{y + 12}">{_isolated(short)}{full}</text>')
        parts.append(f'<text x="100%" y="{y + 12}" text-anchor="end">{escape(shown)}</text>')
        parts.append(_rect(0, y + 17, 100, _BAR_HEIGHT, "track"))
        if value is not None:
            end = scale.at(value) * 100
            wide = abs(end - zero)
            parts.append(_rect(min(zero, end), y + 17, wide, _BAR_HEIGHT, f"fill-{look}"))
        if chart.target is not None:
            place = scale.at(chart.target) * 100
            parts.append(_upright(place, y + 14, y + 20 + _BAR_HEIGHT, "target-tick"))
    height = top + len(rows) * _BAR_ROW
    if scale.low < 0:
        parts.append(_upright(zero, top, height, "zero"))
    if chart.target is not None:
        place = scale.at(chart.target) * 100
        parts.append(
            f'<text x="{place:.2f}%" y="10" text-anchor="{_anchor(place)}" class="axis">'
            f"{escape(target(chart))}</text>"
        )
    return height, parts


def _rect(x: float, y: float, wide: float, high: float, look: str) -> str:
    return (
        f'<rect x="{x:.2f}%" y="{y:.1f}" width="{wide:.2f}%" height="{high:.1f}" class="{look}"/>'
    )


def _upright(x: float, top: float, bottom: float, look: str) -> str:
    return f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{top}" y2="{bottom}" class="{look}"/>'


def _anchor(place: float) -> str:
    return "start" if place < 20 else "end" if place > 80 else "middle"


# --- upright charts -------------------------------------------------------------------------------


def _stacks(chart: Chart, scale: Scale, name: str) -> tuple[int, list[str]]:
    parts = [*_hatching(chart, name), *_ruled(chart, scale)]
    slot = _PLOT / len(chart.points)
    wide = min(slot * 0.7, 16.0)
    drawn = looks(chart)
    for at, (_, values) in enumerate(points(chart)):
        x = slot * (at + 0.5) - wide / 2
        up = down = Decimal(0)
        for value, look in zip(values, drawn, strict=True):
            if value is None or value == 0:
                continue
            begin = up if value > 0 else down
            up, down = (up + value, down) if value > 0 else (up, down + value)
            top, bottom = sorted((_y(scale, begin), _y(scale, begin + value)))
            parts.append(_rect(x, top, wide, bottom - top, f"fill-{look} seam"))
            if look == Tone.BAD:
                parts.append(
                    f'<rect x="{x:.2f}%" y="{top:.1f}" width="{wide:.2f}%" '
                    f'height="{bottom - top:.1f}" fill="url(#{name}-h)"/>'
                )
        if len(chart.points) <= _MOST_TOTALS and any(value is not None for value in values):
            whole = escape(number(up + down, chart.unit))
            parts.append(
                f'<text x="{slot * (at + 0.5):.2f}%" y="{_y(scale, up) - 4:.1f}" '
                f'text-anchor="middle" class="axis halo">{whole}</text>'
            )
    parts += _across(chart, [slot * (at + 0.5) for at in range(len(chart.points))])
    return _PLOT_TOP + _PLOT_HEIGHT + _BELOW, parts


def _hatching(chart: Chart, name: str) -> Iterator[str]:
    """Stripes over what is bad, for those who tell its colour from others badly."""
    if Tone.BAD in looks(chart):
        yield (
            f'<defs><pattern id="{name}-h" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path d="M0,0V6" class="hatch"/></pattern></defs>'
        )


def _lines(chart: Chart, scale: Scale, _: str) -> tuple[int, list[str]]:
    parts = list(_ruled(chart, scale))
    number_of = len(chart.points)
    room = _PLOT - 4
    across = [
        2 + room * (at / (number_of - 1) if number_of > 1 else 0.5) for at in range(number_of)
    ]
    for at, (series, look) in enumerate(zip(chart.series, looks(chart), strict=True)):
        parts += _line(series, scale, across, at, look)
    parts += _across(chart, across)
    return _PLOT_TOP + _PLOT_HEIGHT + _BELOW, parts


def _line(
    series: Series, scale: Scale, across: Sequence[float], at: int, look: str
) -> Iterator[str]:
    places = [None if v is None else (x, _y(scale, v))
              for x, v in zip(across, series.values, strict=True)]  # fmt: skip
    for before, after in pairwise(places):
        if before and after:
            yield (
                f'<line x1="{before[0]:.2f}%" y1="{before[1]:.1f}" x2="{after[0]:.2f}%" '
                f'y2="{after[1]:.1f}" class="line-{look}" stroke-width="2" '
                f'stroke-linecap="round"{_dash(at)}/>'
            )
    for n, place in enumerate(places):
        # A value between two gaps has no line: without a marker nobody would see it.
        is_alone = not any(places[max(n - 1, 0) : n]) and not any(places[n + 1 : n + 2])
        if place and (len(places) <= _MOST_MARKED or is_alone):
            yield _marker(f"{place[0]:.2f}%", place[1], at, look)


def _marker(x: str, y: float, at: int, look: str) -> str:
    shape = _SHAPES[at % len(_SHAPES)]
    return (
        f'<svg x="{x}" y="{y:.1f}" overflow="visible"><path d="{shape}" class="fill-{look}"/></svg>'
    )


def _dash(at: int) -> str:
    dash = _DASHES[at % len(_DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _y(scale: Scale, value: Decimal) -> float:
    return _PLOT_TOP + _PLOT_HEIGHT * (1 - scale.at(value))


def _ruled(chart: Chart, scale: Scale) -> Iterator[str]:
    """Lines across with their numbers, and the target."""
    sign = " %" if chart.unit is Unit.PERCENT else ""
    shown = [number(tick) + sign for tick in scale.ticks]
    # Beside the lines where that has room on the narrowest page, else at the edge.
    is_short = max(map(width, shown)) <= _SHORT_TICK
    place, anchor = (f"{_PLOT + 1.5}%", "start") if is_short else ("100%", "end")
    for tick, text in zip(scale.ticks, shown, strict=True):
        y = _y(scale, tick)
        look = "zero" if tick == 0 else "ruled"
        yield f'<line x1="0" x2="{_PLOT}%" y1="{y:.1f}" y2="{y:.1f}" class="{look}"/>'
        yield (
            f'<text x="{place}" y="{y + 4:.1f}" text-anchor="{anchor}" class="axis">'
            f"{escape(text)}</text>"
        )
    if chart.target is not None:
        y = _y(scale, chart.target)
        yield f'<line x1="0" x2="{_PLOT}%" y1="{y:.1f}" y2="{y:.1f}" class="target"/>'


def _across(chart: Chart, places: Sequence[float]) -> Iterator[str]:
    """As many labels of points as fit, the last one always."""
    names = [cut(plain(point), 12) for point in chart.points]
    fits = max(int(_LETTERS * 0.85 / (max(map(width, names)) + 1.5)), 1)
    step = -(-len(names) // fits)
    y = _PLOT_TOP + _PLOT_HEIGHT + 16
    for at in range((len(names) - 1) % step, len(names), step):
        x, anchor = places[at], "middle"
        if len(names) > 1 and x < 8:
            x, anchor = 0.0, "start"
        yield (
            f'<text x="{x:.2f}%" y="{y}" text-anchor="{anchor}" class="axis">'
            f"{_isolated(names[at])}</text>"
        )


def _text(text: str) -> str:
    return escape(plain(text))


def _isolated(text: str) -> str:
    """A text with its own direction: `<bdi>` is not known within SVG."""
    return f'<tspan class="own">{escape(text)}</tspan>'
