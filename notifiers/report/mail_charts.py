"""Charts for mail programs: bars made of table cells, each beside its number."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from notifiers.report.scale import Scale, scale_of
from notifiers.report.style import COLOURS, inline
from notifiers.report.svg import looks
from notifiers.report.text_charts import NO_VALUES, label, left_out, points, recent, sums
from notifiers.report.wording import amount, goal
from schemas.report import Chart, ChartKind

#: So many points stand beside each other with their numbers under them, the last ones.
_MOST_UPRIGHT = 6
_HEIGHT, _DASH = 36, 4
_TABLE = (
    '<table role="presentation" width="100%" cellpadding="2" cellspacing="0" border="0" '
    'style="font-size:13px">'
)
_BAR = '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr>'


def drawing(chart: Chart, own: Callable[[str], str]) -> str:
    """The chart without its title; `own` makes HTML of a text from elsewhere."""
    note = inline("note")
    scale = scale_of(chart)
    if scale is None:
        return f'<p class="note" style="{note}">{NO_VALUES}</p>'
    if chart.kind is ChartKind.LINES:
        shown = recent(chart, _MOST_UPRIGHT)
        rows = _upright(shown, scale, own)
    else:
        shown = recent(chart) if chart.kind is ChartKind.STACKED else chart
        rows = _level(shown, scale, own)
    target = "" if chart.target is None else f"Target {goal(chart.target, chart.unit)}. "
    words = f"{target}{own(chart.alt)} {left_out(chart, shown)}".rstrip()
    said = f'<p class="note" style="{note}">{words}</p>'
    return f"{_keys(chart, own)}{_TABLE}{''.join(rows)}</table>{said}"


def _keys(chart: Chart, own: Callable[[str], str]) -> str:
    """The colours of series that share a row."""
    if chart.kind is not ChartKind.STACKED:
        return ""
    names = (
        f'<span class="in-{look}" style="color:{COLOURS[look][0]}">■</span> {own(label(series))}'
        for look, series in zip(looks(chart), chart.series, strict=True)
    )
    return f'<p class="key" style="{inline("key")}">{"&nbsp;&nbsp; ".join(names)}</p>'


def _level(chart: Chart, scale: Scale, own: Callable[[str], str]) -> Iterator[str]:
    """A row for each point with a bar that runs to the right."""
    drawn = looks(chart)
    zero = scale.at(max(scale.low, min(Decimal(0), scale.high)))
    for name, values in points(chart):
        if chart.kind is ChartKind.STACKED:
            parts = [
                (scale.at(value) - zero if value is not None else 0.0, look)
                for value, look in zip(values, drawn, strict=True)
            ]
            yield _row(own(name), parts, sums(values, chart.unit))
            continue
        for series, value, look in zip(chart.series, values, drawn, strict=True):
            named = name if len(chart.series) == 1 else f"{name}, {label(series)}"
            share = scale.at(value) - zero if value is not None else 0.0
            yield _row(own(named), [(share, look)], amount(value, chart.unit, chart.target))


def _row(name: str, parts: Sequence[tuple[float, str]], shown: str) -> str:
    cells, rest = [], 100
    for share, look in parts:
        wide = min(round(share * 100), rest)
        if wide > 0:
            cells.append(f'<td width="{wide}%" {_filled(look)}>&nbsp;</td>')
            rest -= wide
    if rest > 0:
        cells.append(f'<td width="{rest}%">&nbsp;</td>')
    bar = f"{_BAR}{''.join(cells)}</tr></table>"
    return (
        f'<tr><td width="30%">{name}</td><td width="45%" style="font-size:9px">{bar}</td>'
        f'<td width="25%" align="right">{shown}</td></tr>'
    )


def _upright(chart: Chart, scale: Scale, own: Callable[[str], str]) -> Iterator[str]:
    """A row for each series: a dash above each point, as high as its value, and the number.

    Not bars: an axis that does not begin at zero would make their lengths lie.
    """
    wide = f"{70 // len(chart.points)}%"
    heads = "".join(f'<td width="{wide}" align="center">{own(p)}</td>' for p in chart.points)
    for series, look in zip(chart.series, looks(chart), strict=True):
        bars, shown = [], []
        for value in series.values:
            dash = "&nbsp;" if value is None else _dash(scale.at(value), look)
            bars.append(f'<td align="center" valign="bottom" height="{_HEIGHT}">{dash}</td>')
            shown.append(f'<td align="center">{amount(value, chart.unit, chart.target)}</td>')
        yield f'<tr><td rowspan="2" valign="bottom">{own(label(series))}</td>{"".join(bars)}</tr>'
        yield f"<tr>{''.join(shown)}</tr>"
    yield f'<tr class="note" style="{inline("note")}"><td width="30%"></td>{heads}</tr>'


def _dash(share: float, look: str) -> str:
    below = round(share * (_HEIGHT - _DASH)) + 1
    thin = 'style="font-size:1px;line-height:1px"'
    return (
        '<table role="presentation" width="60%" cellpadding="0" cellspacing="0">'
        f'<tr><td height="{_DASH}" {_filled(look)} {thin}>&nbsp;</td></tr>'
        f'<tr><td height="{below}" {thin}>&nbsp;</td></tr></table>'
    )


def _filled(look: str) -> str:
    """Attributes of a cell that is drawn; the class is for mail programs that turn dark."""
    return f'class="on-{look}" bgcolor="{COLOURS[look][0]}"'
