"""Generated reports: any values, with texts that partners' systems might hold."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from schemas.report import (
    Cell,
    Change,
    Chart,
    ChartKind,
    Column,
    Control,
    Figure,
    Headline,
    Period,
    Report,
    ReportKind,
    Section,
    Series,
    Table,
    Tone,
    Unit,
    Visibility,
)

_NASTY = (
    "<!channel>", "<@U123>", "<script>alert(1)</script>", "</td></table>", "]]>", "```", "`",
    "*b*", "[x](https://evil.example)", "![](x)", "www.evil.example", "| a | b |", "# x", "1. x",
    "- x", "&amp;", "&#60;", "@channel", "שלום", "شركة النور", "\u202eabc", "\x1b[31m", "a\nb",
    "\\", "👩\u200d👧", "株式会社", "x" * 200, "e\u0301" * 40, "", " ", "onerror=\"x\" '", "~~s~~",
    "$x$", ":smile:", "=",
)  # fmt: skip
texts = st.sampled_from(_NASTY) | st.text(max_size=25) | st.lists(
    st.sampled_from(_NASTY), max_size=3
).map(" ".join)  # fmt: skip
tones, units, classes = (st.sampled_from(kind) for kind in (Tone, Unit, Visibility))
values = st.none() | st.decimals(-(10**6), 10**6, places=3) | st.sampled_from(
    [Decimal(text) for text in ("0", "100", "99.95", "1E+30", "-1E+21", "1E-9", "12345678901.5")]
)  # fmt: skip
#: What a figure shows is short; it may hold signs that other formats escape.
shown = st.text(st.sampled_from("0123456789.,% <>&hbM€"), min_size=1, max_size=15).map(
    lambda text: " ".join(f"v{text}".split())
)


@st.composite
def figures(draw: st.DrawFn, name: str) -> Figure:
    n = draw(st.none() | st.integers(0, 10**9))
    low = draw(st.floats(0, 1))
    return Figure(
        id=name, label=draw(texts), value=draw(values), shown=draw(shown), unit=draw(units),
        definition=draw(texts), n=n, counts=draw(texts), target=draw(values),
        reached=draw(st.none() | st.booleans()), interval=draw(st.none() | st.just((low, 1.0))),
        before=tuple(draw(st.lists(values, max_size=5))), tone=draw(tones),
        visibility=draw(classes),
    )  # fmt: skip


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    points = draw(st.lists(texts, max_size=6) | st.integers(30, 60).map(lambda n: ["p"] * n))
    series = [
        Series(label=draw(texts), tone=draw(tones),
               values=tuple(draw(st.lists(values, min_size=len(points), max_size=len(points)))))
        for _ in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    return Chart(
        title=draw(texts), kind=draw(st.sampled_from(ChartKind)), unit=draw(units),
        points=tuple(points), series=tuple(series), target=draw(values), alt=draw(texts),
        visibility=draw(classes),
    )  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, found: list[Figure]) -> Table:
    columns = draw(st.lists(st.builds(Column, title=texts, numeric=st.booleans()),
                            min_size=1, max_size=4))  # fmt: skip
    plain_cells = st.builds(Cell, text=texts, tone=tones)
    rows = []
    for _ in range(draw(st.integers(0, 3))):
        cells = draw(st.lists(plain_cells, min_size=len(columns), max_size=len(columns)))
        figure = draw(st.sampled_from([None, *found]))
        if figure is not None:
            at = draw(st.integers(0, len(columns) - 1))
            cells[at] = Cell(text=figure.shown, tone=figure.tone, figure=figure.id)
        rows.append(tuple(cells))
    return Table(title=draw(texts), columns=tuple(columns), rows=tuple(rows), empty=draw(texts),
                 note=draw(texts), visibility=draw(classes))  # fmt: skip


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Whole reports with unique figures, some in tiles, some in cells, some in neither."""
    sections, known = [], []
    further = [draw(figures(f"further/{n}")) for n in range(draw(st.integers(0, 2)))]
    for at in range(draw(st.integers(0, 2))):
        tiles = [draw(figures(f"{at}/{n}")) for n in range(draw(st.integers(0, 3)))]
        known += tiles
        sections.append(Section(
            id=f"s{at}", title=draw(texts), text=tuple(draw(st.lists(texts, max_size=2))),
            figures=tuple(tiles), charts=tuple(draw(st.lists(charts(), max_size=1))),
            tables=tuple(draw(st.lists(tables([*tiles, *further]), max_size=2))),
        ))  # fmt: skip
    ids = st.lists(st.sampled_from([f.id for f in [*known, *further]] or ["none"]), max_size=2)
    headlines = st.builds(Headline, text=texts, tone=tones, figures=ids.map(tuple))
    changes = st.builds(Change, figure=ids.map(lambda found: (*found, "gone")[0]), label=texts,
                        was=texts, now=texts, because=texts)  # fmt: skip
    return Report(
        kind=draw(st.sampled_from(ReportKind)), title=draw(texts), about=draw(texts),
        period=Period(
            key="2026-W47", label=draw(texts), begin=datetime(2026, 11, 15, 23, tzinfo=UTC),
            end=datetime(2026, 11, 22, 23, tzinfo=UTC),
            timezone=draw(st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu"])),
        ),
        as_of=datetime(2026, 11, 24, 6, tzinfo=UTC), issue=draw(st.integers(0, 3)),
        issued_at=draw(st.none() | st.just(datetime(2026, 11, 24, 7, tzinfo=UTC))),
        changes=tuple(draw(st.lists(changes, max_size=2))),
        summary=tuple(draw(st.lists(headlines, max_size=5))), sections=tuple(sections),
        figures=tuple(further),
        controls=tuple(draw(st.lists(
            st.builds(Control, name=texts, source=texts, counted=st.integers(0, 10**9)), max_size=2
        ))),
        policy=draw(texts), notes=tuple(draw(st.lists(texts, max_size=2))),
    )  # fmt: skip
