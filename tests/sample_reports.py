"""A weekly digest and a monthly scorecard with figures such as a wholesaler has."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

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

_SHARE = "Commitments met over commitments met or broken, by when they fell due; overdue is broken."
_WEEKS = ("W43", "W44", "W45", "W46", "W47")


def decimals(*values: str | None) -> tuple[Decimal | None, ...]:
    return tuple(None if value is None else Decimal(value) for value in values)


def share(
    name: str,
    label: str,
    value: str | None,
    n: int,
    target: str = "95",
    before: tuple[str | None, ...] = (),
    counts: str = "commitments",
) -> Figure:
    """A share of commitments, in percent."""
    found = None if value is None else Decimal(value)
    reached = None if found is None else found >= Decimal(target)
    low, high = (0.0, 0.0) if found is None else (max(float(found) / 100 - 0.05, 0), 0.99)
    tone = {True: Tone.GOOD, False: Tone.BAD, None: Tone.PLAIN}[reached]
    return Figure(
        id=f"attainment/{name}", label=label, value=found,
        shown="none due" if value is None else f"{value} %", unit=Unit.PERCENT, definition=_SHARE,
        n=n, counts=counts, target=Decimal(target), reached=reached,
        interval=None if found is None else (low, high), before=decimals(*before), tone=tone,
        visibility=Visibility.STRATEGIC,
    )  # fmt: skip


def count(
    name: str,
    label: str,
    value: int,
    counts: str = "cases",
    tone: Tone = Tone.PLAIN,
    visibility: Visibility = Visibility.OPERATIONAL,
) -> Figure:
    """How many there are of something."""
    return Figure(
        id=name, label=label, value=Decimal(value), shown=f"{value:,}", unit=Unit.COUNT,
        definition=f"How many {counts} there were in the period.", n=value, counts=counts,
        tone=tone, visibility=visibility,
    )  # fmt: skip


def cell(figure: Figure) -> Cell:
    """A cell that shows a figure."""
    return Cell(text=figure.shown, tone=figure.tone, figure=figure.id)


def table(
    title: str,
    columns: str,
    *rows: Sequence[str | Cell],
    empty: str = "Nothing.",
    note: str = "",
    visibility: Visibility = Visibility.OPERATIONAL,
) -> Table:
    """A table; `columns` are titles between bars, numeric ones with a `#` in front."""
    heads = [Column(title=c.lstrip("#"), numeric=c.startswith("#")) for c in columns.split("|")]
    cells = tuple(tuple(c if isinstance(c, Cell) else Cell(text=c) for c in row) for row in rows)
    return Table(title=title, columns=tuple(heads), rows=cells, empty=empty, note=note,
                 visibility=visibility)  # fmt: skip


def digest() -> Report:
    """Week 47 of a wholesaler with forty partners, as restated on Tuesday."""
    first = share("strategic/first_response", "First response, strategic", "97.4", 39, "95",
                  ("96.1", "94.2", None, "97.0"))  # fmt: skip
    resolution = share("strategic/resolution", "Resolution, strategic", "88.2", 17, "95",
                       ("95.0", "93.7", "91.1", "90.0"))  # fmt: skip
    touch = share("strategic/touchpoint", "Touchpoints, strategic", "100", 12, "90",
                  ("83.3", "91.6", "100", "100"))  # fmt: skip
    every = share("all", "All commitments", "94.6", 1204, "95", ("95.2", "95.0", "94.9", "94.8"))
    tiers = {
        "Strategic": (first, share("strategic/next_response", "Next response", "95.8", 48),
                      resolution, touch),
        "Growth": (share("growth/first_response", "First response", "96.0", 101),
                   share("growth/next_response", "Next response", "93.1", 87, "92"),
                   share("growth/resolution", "Resolution", "91.6", 60, "90"),
                   share("growth/touchpoint", "Touchpoints", "86.4", 22, "90")),
        "Standard": (share("standard/first_response", "First response", "95.1", 412, "90"),
                     share("standard/next_response", "Next response", "94.0", 266, "90"),
                     share("standard/resolution", "Resolution", "92.9", 140, "85"),
                     share("standard/touchpoint", "Touchpoints", None, 0)),
    }  # fmt: skip
    attention = Figure(
        id="attention/executive", label="Executive attention", value=Decimal("6.5"), shown="6.5 h",
        unit=Unit.HOURS, definition="Hours from an executive alert to its acknowledgement or end.",
        n=4, counts="cases", before=decimals("2", "3.5", "9", "4"), tone=Tone.WATCH,
        visibility=Visibility.CONFIDENTIAL,
    )  # fmt: skip
    open_cases = count("cases/open", "Open cases", 23)
    escalated = count("cases/escalated", "Raised to management", 9, tone=Tone.WATCH)
    shown = {figure.id for figure in (first, resolution, touch)}
    return Report(
        kind=ReportKind.DIGEST,
        title="Weekly digest",
        period=Period(
            key="2026-W47", label="16 to 22 November 2026 (week 47)",
            begin=datetime(2026, 11, 15, 23, tzinfo=UTC),
            end=datetime(2026, 11, 22, 23, tzinfo=UTC), timezone="Europe/Berlin",
        ),
        as_of=datetime(2026, 11, 24, 6, tzinfo=UTC),
        issue=2,
        issued_at=datetime(2026, 11, 24, 6, 0, 12, tzinfo=UTC),
        changes=(
            Change(figure=resolution.id, label=resolution.label, was="93.7 %", now="88.2 %",
                   because="1 commitment added, 1 changed"),
        ),
        summary=(
            Headline(text="94.6 % of 1,204 commitments were kept; the target is 95 %.",
                     tone=Tone.BAD, figures=(every.id,)),
            Headline(text="Strategic partners: first response 97.4 %, resolution 88.2 %, the third "
                     "week below target.", tone=Tone.BAD, figures=(first.id, resolution.id)),
            Headline(text="9 cases were raised to management and 4 reached executives, who spent "
                     "6.5 hours on them.", tone=Tone.WATCH, figures=(escalated.id, attention.id)),
            Headline(text="All 12 sessions with strategic partners were held.", tone=Tone.GOOD,
                     figures=(touch.id,)),
            Headline(text="One decision is asked for: terms for carrier Kestrel, behind 11 of 14 "
                     "late deliveries."),
        ),
        sections=(
            Section(
                id="attainment", title="Attainment",
                text=("Kept over due, by partner tier and metric, against target.",),
                figures=(every, first, resolution, touch),
                charts=(
                    Chart(
                        title="Commitments kept, five weeks", kind=ChartKind.LINES,
                        unit=Unit.PERCENT, points=_WEEKS, target=Decimal(95),
                        series=(
                            Series(label="Strategic",
                                   values=decimals("95.0", "93.7", None, "95.8", "94.1")),
                            Series(label="Growth",
                                   values=decimals("92.0", "93.1", "94.4", "93.0", "92.5")),
                            Series(label="Standard",
                                   values=decimals("96.1", "95.7", "95.9", "94.8", "94.9")),
                        ),
                        alt="Strategic falls below 95 %, growth stays there, standard falls.",
                        visibility=Visibility.STRATEGIC,
                    ),
                    Chart(
                        title="Commitments due", kind=ChartKind.STACKED, unit=Unit.COUNT,
                        points=_WEEKS,
                        series=(
                            Series(label="kept", values=decimals("980", "1010", "1102", "1094",
                                                                 "1139"), tone=Tone.GOOD),
                            Series(label="broken", values=decimals("50", "53", "58", "60", "65"),
                                   tone=Tone.BAD),
                            Series(label="excused", values=decimals("4", None, "12", "2", "7")),
                        ),
                        alt="Around 1,100 a week, 5 to 6 % of them broken.",
                    ),
                ),
                tables=(
                    table(
                        "By partner tier and metric",
                        "Partner tier|#First response|#Next response|#Resolution|#Touchpoints",
                        *((Cell(text=tier), *map(cell, row)) for tier, row in tiers.items()),
                        note="Left out: 3 cancelled, 7 excused, 2 never ran, 41 not yet due, 5 "
                        "paused (the oldest for 9 days).",
                        visibility=Visibility.STRATEGIC,
                    ),
                ),
            ),
            Section(
                id="breaches", title="Broken commitments",
                charts=(
                    Chart(
                        title="Broken commitments by partner", kind=ChartKind.BARS,
                        unit=Unit.COUNT,
                        points=("Nordlicht GmbH", "Käserei Alpenblick und Söhne Genossenschaft",
                                "شركة النور للتجارة", "株式会社みどり", "Van der Berg"),
                        series=(Series(label="broken", values=decimals("14", "9", "6", "3", "1")),),
                        alt="Nordlicht has 14 of 65, Alpenblick 9.",
                    ),
                    Chart(
                        title="How late they were", kind=ChartKind.BARS, unit=Unit.BUSINESS_HOURS,
                        points=("First response", "Next response", "Status update", "Resolution"),
                        series=(Series(label="median",
                                       values=decimals("0.75", "2.5", None, "11.25")),),
                        alt="Resolution is late by more than a business day.",
                    ),
                ),
                tables=(
                    table(
                        "The latest", "Partner|Tier|Commitment|Due|#Late by|Held by",
                        ("Nordlicht GmbH", "strategic", "resolution", "Wed 18 Nov 17:00",
                         Cell(text="19 bh", tone=Tone.BAD), "account manager"),
                        ("شركة النور للتجارة", "strategic", "resolution", "Thu 19 Nov 12:00",
                         Cell(text="9.5 bh", tone=Tone.BAD), "partnership manager"),
                        ("Käserei Alpenblick und Söhne Genossenschaft", "growth", "first response",
                         "Tue 17 Nov 11:30", Cell(text="2.25 bh", tone=Tone.WATCH),
                         "account manager"),
                        ("<script>alert(1)</script>", "standard", "next response",
                         "Fri 20 Nov 17:00", "0.5 bh", "account manager"),
                        note="By role: names stand in private feedback.",
                    ),
                ),
            ),
            Section(
                id="escalations", title="Escalations",
                figures=(open_cases, escalated, attention),
                tables=(
                    table(
                        "By tier", "Tier|#Cases|#To acknowledge, median|#p90|#To resolve, median",
                        ("frontline", "31", "0.6 bh", "3.1 bh", "14 bh"),
                        ("management", Cell(text="9", figure=escalated.id, tone=Tone.WATCH),
                         "1.2 bh", "2.8 bh", "2.1 bd"),
                        ("executive", "4", "0.4 bh", "1.0 bh", "1.5 bd"),
                    ),
                    table("Repeat conflicts", "Partner|Pattern|#Cases",
                          empty="No partner had the same trouble three times."),
                ),
            ),
            Section(
                id="decisions", title="Decisions asked for",
                text=("Kestrel: 11 of 14 late deliveries on one lane; terms run out in 8 days.",),
            ),
        ),
        figures=tuple(figure for row in tiers.values() for figure in row if figure.id not in shown),
        controls=(
            Control(name="events taken", source="/erp", counted=48_211),
            Control(name="orders", source="/erp", counted=6_040),
            Control(name="messages", source="/helpdesk", counted=3_377),
        ),
        policy="3f9c2a71d0",
        notes=("Automatic messages, notes and bots neither start nor stop a clock.",
               "A commitment counts in the week in which it fell due."),
    )  # fmt: skip


def scorecard() -> Report:
    """November with one strategic partner."""
    months = ("Jun", "Jul", "Aug", "Sep", "Oct", "Nov")
    otif = Figure(
        id="otif/on_or_before", label="OTIF", value=Decimal("91.3"), shown="91.3 %",
        unit=Unit.PERCENT, n=184, counts="orders", target=Decimal(95), reached=False,
        definition="Orders whole and on or before the first confirmed promise, over all that were "
        "due, undelivered included.", interval=(0.862, 0.947),
        before=decimals("94", "95.5", "96.1", "93.2", "92"), tone=Tone.BAD,
        visibility=Visibility.JOINT,
    )  # fmt: skip
    promised_again = Figure(
        id="otif/re-promised", label="OTIF, against the last promise", value=Decimal("96.2"),
        shown="96.2 %", unit=Unit.PERCENT, n=184, counts="orders", target=Decimal(95), reached=True,
        definition="The same against the promise that the partner agreed to last.",
        visibility=Visibility.JOINT,
    )  # fmt: skip
    defects = Figure(
        id="defects", label="Defects", value=Decimal(1240), shown="1,240 per million",
        unit=Unit.PER_MILLION, n=412_000, counts="units", target=Decimal(1000), reached=False,
        definition="Units damaged, wrong or returned per million units delivered.",
        before=decimals("800", "1100", "950", "990", "1010"), visibility=Visibility.JOINT,
    )  # fmt: skip
    lead_time = Figure(
        id="lead_time/deviation", label="Lead time, deviation", value=Decimal("1.4"), shown="1.4 d",
        unit=Unit.DAYS, n=181, counts="deliveries",
        definition="Standard deviation of the days from order to complete delivery.",
    )  # fmt: skip
    margin = Figure(
        id="exposure", label="Exposure", value=Decimal(1284000), shown="1,284,000.00 EUR",
        unit=Unit.MONEY, definition="Value of what was undelivered past its promise at month end.",
        n=16, counts="orders", visibility=Visibility.CONFIDENTIAL,
    )  # fmt: skip
    return Report(
        kind=ReportKind.SCORECARD,
        title="Partner scorecard",
        about="Nordlicht GmbH",
        about_id="P-1001",
        period=Period(
            key="2026-11", label="November 2026", begin=datetime(2026, 10, 31, 23, tzinfo=UTC),
            end=datetime(2026, 11, 30, 23, tzinfo=UTC), timezone="Europe/Berlin",
        ),
        as_of=datetime(2026, 12, 2, 6, tzinfo=UTC),
        issue=1,
        issued_at=datetime(2026, 12, 2, 6, 0, 3, tzinfo=UTC),
        summary=(
            Headline(text="OTIF 91.3 %, below 95 % for the third month.", tone=Tone.BAD,
                     figures=(otif.id,)),
            Headline(text="1.3 million euros were overdue at month end.", tone=Tone.WATCH,
                     figures=(margin.id,)),
        ),
        sections=(
            Section(
                id="delivery", title="Delivery", figures=(otif, promised_again, defects, lead_time),
                charts=(
                    Chart(
                        title="OTIF over six months", kind=ChartKind.LINES, unit=Unit.PERCENT,
                        points=months, target=Decimal(95),
                        series=(Series(label="OTIF", values=decimals("94", "95.5", "96.1", "93.2",
                                                                     "92", "91.3")),),
                        alt="OTIF rose to 96.1 % in August and fell to 91.3 % since.",
        visibility=Visibility.JOINT,
                    ),
                ),
                tables=(
                    table("Ways to count", "On time|#Share|#Orders",
                          ("on the day", "71.2 %", "131"),
                          ("on or before", cell(otif), "168"),
                          ("within a day", "97.8 %", "180"), visibility=Visibility.JOINT),
                ),
            ),
            Section(id="money", title="Money", figures=(margin,)),
        ),
        policy="3f9c2a71d0",
    )  # fmt: skip


_LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


def chart(
    kind: ChartKind,
    unit: Unit,
    points: Sequence[str],
    *series: Sequence[str | None],
    target: str | None = None,
    tones: Sequence[Tone] = (),
    label: str = "series",
) -> Chart:
    """A chart whose title says what is drawn."""
    return Chart(
        title=f"{kind}: {len(series)} series over {len(points)} points, {unit}", kind=kind,
        unit=unit, points=tuple(points), target=None if target is None else Decimal(target),
        series=tuple(
            Series(label=f"{label} {at}", values=decimals(*values),
                   tone=tones[at] if at < len(tones) else Tone.PLAIN)
            for at, values in enumerate(series)
        ),
        alt="What no real week looks like.",
    )  # fmt: skip


def with_cases() -> Report:
    """A digest with two tables of cases, between words that leave them little room."""
    said = "late-delivery: cups promised on Monday came on Thursday"
    narrow = table(
        "Open cases", "Case|Partner|Headline|Owner|#Open for",
        ("C-MB18VT18TMJQ", "Nordlicht GmbH", said, "Claire Dubois", "3 d"),
        ("C-4YJWPG8F9WMP, C-Q9FGSN41HJWG", "Acme", said, "Anna Lindner", "12 d"),
    )  # fmt: skip
    wide = table("Disputes", "Kind|Partner|Headline|Why|Owner|Asked|Case",
                 ("dispute", "Nordlicht GmbH", said, said, "Claire Dubois", "Henrik Sommer",
                  "C-7ZJWPG8F9WMX"))  # fmt: skip
    section = Section(id="s", title="Cases", text=(f"Of C-MB18VT18TMJQ: {said}.",),
                      figures=(count("cases/open", "Open cases", 2),),
                      tables=(narrow, wide))  # fmt: skip
    return digest().model_copy(update={"sections": (section,)})


def awkward() -> Report:
    """A digest with what is hard to draw: too long, too many, too large, nothing, all the same."""
    weeks = [f"2026-W{n:02}" for n in range(60)]
    good_and_bad = (Tone.GOOD, Tone.BAD)
    lines, stacked, bars = ChartKind.LINES, ChartKind.STACKED, ChartKind.BARS
    charts = (
        chart(lines, Unit.PERCENT, weeks,
              [None if n in {10, 11, 13, 14} else str(82 + n % 17) for n in range(60)],
              [str(85 + n % 7) for n in range(60)], target="95"),
        chart(stacked, Unit.COUNT, weeks,
              *[[str(n * k % 9 + 1) for n in range(60)] for k in range(1, 7)]),
        chart(lines, Unit.HOURS, ["W1"], ["3"]),
        chart(stacked, Unit.COUNT, ["W1"], ["3"], ["1"], tones=good_and_bad),
        chart(lines, Unit.HOURS, ["W1", "W2"], [None, None]),
        chart(bars, Unit.HOURS, [], []),
        chart(bars, Unit.PERCENT,
              ["all", "also all", "none", f"{_LONG} 👩\u200d👧 {_LONG}", "שלום " * 20],
              ["100", "100", "0", "99.95", None], target="95"),
        chart(bars, Unit.MONEY, ["a", "b", _LONG], ["1234567890123456789012", "1E+21", "3"],
              target="1E+21"),
        chart(lines, Unit.NUMBER, ["a", "b", "c"], ["1234567890123456789012", "1E+21", "3"],
              target="1E+21"),
        chart(bars, Unit.NUMBER, ["a", "b", "c"], ["-5", "3", "0"]),
        chart(stacked, Unit.NUMBER, ["a", "b", "c"], ["-5", "3", "0"], ["2", "3", "-1"],
              tones=good_and_bad),
        chart(stacked, Unit.MONEY, list("abcdefg"), ["1234567.5"] * 7),
        chart(lines, Unit.PERCENT, ["1", "2", "3"], ["100"] * 3, target="100"),
        chart(stacked, Unit.COUNT, ["1", "2", "3"], ["0", "0", None]),
        chart(lines, Unit.PER_MILLION, ["1", "2", "3"], ["0.0003", "0.0009", "0.0001"]),
        chart(lines, Unit.PERCENT, ["Monday 16 November", "Tuesday 17 November", "Wednesday 18"],
              *[[str(90 + k), None if k % 2 else "91", str(90 - k)] for k in range(8)],
              target="95", label=f"شركة {_LONG}"),
    )  # fmt: skip
    figures = (
        count("long/label", f"Label {_LONG} {_LONG}", 123_456_789_012),
        count("long/value", "Label", 5).model_copy(update={"shown": f"1,234,567.00 EUR {_LONG}"}),
        share("nothing", "🚚 emoji שלום", None, 0, before=(None, None)),
    )
    wide = table(
        f"Wide {_LONG}", "A" + "".join(f"|#Column {n} {_LONG[: 2 * n]}" for n in range(12)),
        (_LONG * 2, *[str(10**n) for n in range(12)]),
        ("שלום", *[Cell(text="<b>", tone=Tone.WATCH)] * 12),
    )  # fmt: skip
    section = Section(id="s", title=f"Charts {_LONG * 2}", text=(_LONG * 3,), figures=figures,
                      charts=charts, tables=(wide,))  # fmt: skip
    return digest().model_copy(
        update={"title": f"Awkward {_LONG}", "sections": (section,), "figures": (),
                "summary": (Headline(text=_LONG * 3, tone=Tone.WATCH),)}
    )  # fmt: skip
