"""Reports as people read them, and the versions that are cut for an audience."""

import re
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from notifiers.report import (
    for_audience,
    render,
    to_blocks,
    to_html,
    to_markdown,
    to_terminal,
    to_text,
)
from notifiers.report.scale import scale_of
from notifiers.report.style import COLOURS, DRAWN, TEXTS
from notifiers.report.wording import NOTHING, about, amount, interval, number
from rules.attainment import wilson
from schemas.report import (
    Cell,
    Chart,
    ChartKind,
    Headline,
    Report,
    Section,
    Series,
    Table,
    Tone,
    Unit,
    Visibility,
    counted,
)
from tests.fakes.slack import validate_blocks
from tests.fakes.slack.limits import ALL_TEXT, texts_of
from tests.page import Page
from tests.sample_reports import cell, chart, count, digest, scorecard, share, table, with_cases

FOR_PARTNER = {Visibility.OPERATIONAL, Visibility.STRATEGIC, Visibility.JOINT}


def everywhere(report: Report) -> dict[str, str]:
    """What readers read, by form."""
    found = render(report)
    return {
        "text": " ".join(found.text.split()),
        "markdown": to_markdown(report).replace("\\", ""),
        "page": Page(found.html).text,
        "mail": Page(found.mail).text,
        "messages": str(found.messages),
        "document": report.model_dump_json(),
    }


# --- text -----------------------------------------------------------------------------------------


def test_a_terminal_shows_summary_figures_charts_and_tables() -> None:
    shown = to_terminal(scorecard(), 100)
    assert shown.startswith("""\
Partner scorecard: Nordlicht GmbH
November 2026, Europe/Berlin
Issued on Wed 2 Dec 2026 07:00 CET

✗ OTIF 91.3 %, below 95 % for the third month.
! 1.3 million euros were overdue at month end.

Delivery
────────
Figure                             Value  Target               Of              Before
OTIF                            ✗ 91.3 %  95 %, missed         184 orders      94, 95.5, 96.1,
                                                                               93.2, 92
OTIF, against the               ✓ 96.2 %  95 %, reached        184 orders
last promise
""")
    assert (
        """\
OTIF over six months
OTIF ▅▆▆▄▃▂ 91.3 %
Jun to Nov
target 95 %

Ways to count
On time          Share  Orders
on the day      71.2 %     131
on or before  ✗ 91.3 %     168
within a day    97.8 %     180
"""
        in shown
    )


def test_a_narrow_terminal_gets_lists_instead_of_columns() -> None:
    assert """\
OTIF, against the last promise
  Value: ✓ 96.2 %
  Target: 95 %, reached
  Of: 184 orders
Defects
""" in to_terminal(scorecard(), 40)


def test_colour_is_written_only_where_it_was_asked_for() -> None:
    assert "\x1b[1;31m✗\x1b[0m OTIF" in to_terminal(scorecard(), colour=True)
    assert "\x1b" not in to_terminal(scorecard())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, NOTHING), ("0", "0"), ("-0.0", "0"), ("-0.04", "-0.04"), ("95", "95"),
        ("95.0", "95"), ("97.45", "97.4"), ("97.46", "97.5"), ("97.55", "97.6"), ("-2.56", "-2.6"),
        ("1250", "1,250"), ("999999.94", "999,999.9"), ("999999.96", "1 M"), ("1250000", "1.2 M"),
        ("1260000", "1.3 M"), ("999960000", "1 bn"), ("-3E+9", "-3 bn"), ("2.5E+12", "2.5 tn"),
        ("999960000000000", "1.0e+15"), ("1E+21", "1.0e+21"),
        ("0.04", "0.04"), ("0.00012", "0.0001"), ("0.096", "0.1"),
    ],
)  # fmt: skip
def test_numbers_of_charts_are_short_and_rounded(value: str | None, shown: str) -> None:
    assert number(None if value is None else Decimal(value)) == shown


@pytest.mark.parametrize(
    ("value", "unit", "target", "shown"),
    [
        ("99.95", Unit.PERCENT, None, "99.9 %"), ("99.9999", Unit.PERCENT, None, "99.9 %"),
        ("100", Unit.PERCENT, None, "100 %"), ("99.95", Unit.HOURS, None, "100 h"),
        ("94.96", Unit.PERCENT, "95", "94.9 %"), ("95", Unit.PERCENT, "95", "95 %"),
        ("94.96", Unit.PERCENT, None, "95 %"), ("95.04", Unit.PERCENT, "95", "95 %"),
        ("99.94", Unit.PERCENT, "99.95", "99.9 %"), ("99.99", Unit.PERCENT, "99.95", "99.9 %"),
        ("1249999", Unit.COUNT, "1250000", "1.2 M"), ("0.0496", Unit.PERCENT, "0.05", "0.04 %"),
    ],
)  # fmt: skip
def test_what_was_not_reached_is_not_reached_by_rounding(
    value: str, unit: Unit, target: str | None, shown: str
) -> None:
    assert amount(Decimal(value), unit, None if target is None else Decimal(target)) == shown


def test_a_target_is_shown_as_it_was_set_and_a_value_below_it_stays_below_everywhere() -> None:
    kept = Chart(
        title="Kept", kind=ChartKind.LINES, unit=Unit.PERCENT, points=("week 1", "week 2"),
        series=(Series(label="all", values=(Decimal("98.06"), Decimal("99.96"))),),
        target=Decimal("99.975"), alt="Kept by week.",
    )  # fmt: skip
    section = Section(id="s", title="Kept", charts=(kept,))
    report = digest().model_copy(update={"sections": (section,), "figures": (), "summary": ()})
    for form in ("text", "markdown", "page", "mail"):
        text = everywhere(report)[form].replace("98 % 99 % 100 %", "")  # the page's axis
        assert "99.975 %" in text, form
        assert "99.9 %" in text, form
        assert "100 %" not in text, form


@pytest.mark.parametrize(
    ("kept", "of", "shown"),
    [
        (13, 20, "43.3 to 81.9 %"),
        (10**5 - 1, 10**5, "99.9 to 99.9 %"),  # 99.9998 % at most is not all of them
        (1, 10**5, "0.0002 to 0.006 %"),  # nor 0.0002 % none
        (20, 20, "83.9 to 100 %"),
        (0, 20, "0 to 16.1 %"),
    ],
)
def test_a_share_probably_lies_at_all_or_nothing_only_where_it_was(
    kept: int, of: int, shown: str
) -> None:
    found = digest().all_figures()[0].model_copy(update={"interval": wilson(kept, of)})
    assert interval(found) == shown


def test_one_thing_is_told_in_the_singular() -> None:
    figures = [
        count("problems", "Problems", 1, counts="problems"),
        share("share", "Solved", "100", 1, counts="problems solved"),
        count("none", "None", 0, counts="deliveries"),
    ]
    assert [about(figure) for figure in figures] == ["problem", "1 problem solved", "deliveries"]
    assert counted("deliveries", 1) == "delivery"


def test_a_restatement_says_what_changed_and_a_draft_that_it_is_one() -> None:
    for text in everywhere(digest()).values():
        assert "93.7 %" in text
        assert "1 commitment added, 1 changed" in text
    assert "Issue 2, restated on Tue 24 Nov 2026 07:00 CET" in to_text(digest())
    draft = digest().model_copy(update={"issue": 0, "issued_at": None, "changes": ()})
    assert "Draft, with what was known on Tue 24 Nov 2026 07:00 CET" in to_text(draft)


def test_every_rendering_prints_definitions_and_denominators() -> None:
    for text in everywhere(digest()).values():
        assert "overdue is broken" in text
        assert "1,204 commitments" in text


def test_a_figure_that_only_a_headline_speaks_of_stands_at_the_end() -> None:
    named, unnamed = count("named", "Named", 4711), count("unnamed", "Unnamed", 815)
    line = Headline(text="Much happened.", figures=("named",))
    report = digest().model_copy(update={"summary": (line,), "figures": (named, unnamed)})
    shown = to_text(report)
    assert "4,711" in shown.split("Further figures")[1]
    assert "815" not in shown


# --- pages ----------------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2, "relative luminance" and "contrast ratio")."""

    def luminance(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_from_what_they_stand_on(scheme: int) -> None:
    for under in ("paper", "band"):
        for name in TEXTS:
            assert contrast(COLOURS[name][scheme], COLOURS[under][scheme]) >= 4.5, name
        for name in DRAWN:
            assert contrast(COLOURS[name][scheme], COLOURS[under][scheme]) >= 3.0, name


@pytest.mark.parametrize("width", range(40, 160, 3))
def test_the_id_of_a_case_stands_on_one_line(width: int) -> None:
    shown = to_terminal(with_cases(), width)
    assert len(re.findall(r"\bC-[0-9A-Z]{12}\b", shown)) == 5
    assert max(map(len, shown.splitlines())) <= width


def test_what_partners_are_called_is_shown_and_does_nothing() -> None:
    for for_mail in (False, True):
        source = to_html(digest(), for_mail=for_mail)
        assert "<script>alert(1)</script>" in Page(source).text
        assert "<script" not in source
        assert "<bdi>شركة النور للتجارة</bdi>" in source


@pytest.mark.parametrize("kind", ChartKind)
@pytest.mark.parametrize("for_mail", [False, True])
def test_no_text_of_a_chart_does_anything(kind: ChartKind, for_mail: bool) -> None:
    nasty = "<script>"
    drawn = chart(kind, Unit.COUNT, [nasty, f"{nasty} שלום", nasty], ["1", "2", None],
                  ["3", "2", "1"], target="2", label=nasty)  # fmt: skip
    drawn = drawn.model_copy(update={"title": nasty, "alt": nasty})
    section = Section(id="s", title="S", charts=(drawn,))
    source = to_html(digest().model_copy(update={"sections": (section,)}), for_mail=for_mail)
    assert "<script" not in source
    assert Page(source).text.count(nasty) > 5


def test_a_page_names_its_drawings_for_those_who_do_not_see_them() -> None:
    page = Page(to_html(digest()))
    drawn = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "role")]
    assert drawn == ["img"] * 9  # four charts, and how five figures went
    assert "Strategic falls below 95 %, growth stays there, standard falls." in page.text
    said = [value for _, name, value in page.attributes if name == "aria-label"]
    assert {"good", "bad", "to watch"} <= set(said)


def test_a_mail_needs_no_drawing_and_no_style_sheet() -> None:
    source = to_html(digest(), for_mail=True)
    page = Page(source)
    assert "<svg" not in source
    assert "var(" not in source
    for drawn in ("93.7 %", "1,102 · 58 · 12", "11.2 bh", "Around 1,100 a week"):
        assert drawn in page.text
    bare = [tag for tag, name, value in page.attributes if name == "class" and tag == "p"]
    styled = [tag for tag, name, value in page.attributes if name == "style" and tag == "p"]
    assert len(styled) >= len(bare)
    assert len(source.encode()) < 60_000  # Gmail cuts what is longer than 102 kB


# --- Slack ----------------------------------------------------------------------------------------


def test_the_first_message_stands_alone_and_the_others_follow() -> None:
    first, *others = to_blocks(digest())
    assert [block["type"] for block in first] == ["header", "context", "section", "context"]
    assert first[0]["text"]["text"] == "Weekly digest"
    said = first[2]["text"]["text"]
    assert all(line.text in said for line in digest().summary)
    assert "Attainment, Broken commitments" in first[3]["elements"][0]["text"]
    assert len(others) == 1


def test_a_long_report_becomes_many_messages_within_the_limits() -> None:
    rows = [(f"Partner {n} <!channel> {'x' * 90}", "strategic", f"{n} bh") for n in range(900)]
    long = table("Long", "Partner|Tier|#Late", *rows)
    section = Section(id="long", title="Long", tables=(long,))
    messages = to_blocks(digest().model_copy(update={"sections": (section,)}))
    assert len(messages) > 5
    for blocks in messages:
        validate_blocks(blocks)
        assert texts_of(blocks) <= ALL_TEXT
    shown = str(messages)
    assert all(f"Partner {n} &lt;!channel&gt;" in shown for n in range(900))
    assert "<!channel>" not in shown


# --- versions for an audience ---------------------------------------------------------------------


def test_a_partner_reads_nothing_confidential() -> None:
    whole, cut = everywhere(scorecard()), everywhere(for_audience(scorecard(), FOR_PARTNER))
    for form, text in cut.items():
        assert "OTIF" in text, form
        for secret in ("1,284,000", "Exposure", "1.3 million", "Money"):
            assert secret in whole[form], form
            assert secret not in text, form


def test_a_version_keeps_no_text_that_has_no_class() -> None:
    version = for_audience(digest(), FOR_PARTNER)
    assert [line.text[:8] for line in version.summary] == ["94.6 % o", "Strategi", "All 12 s"]
    assert "executives" not in to_text(version)
    assert version.controls == ()
    assert version.notes == ()
    assert all(section.text == () for section in version.sections)
    assert "decisions" not in [section.id for section in version.sections]


def test_those_who_may_see_everything_get_the_report_itself() -> None:
    assert for_audience(digest(), set(Visibility)) is not None
    assert for_audience(digest(), set(Visibility)) == digest()


def test_a_cut_figure_takes_its_cell_and_what_has_nothing_else() -> None:
    secret = Visibility.CONFIDENTIAL
    hours = [count(f"hours/{n}", "h", 70 + n, visibility=secret) for n in range(3)]
    cases = [count(f"cases/{n}", "c", 50 + n) for n in range(2)]
    mixed = count("mixed", "m", 99)
    found = cut_table(
        table("T", "Tier|#Cases|#Hours|#Either",
              ("management", cell(cases[0]), cell(hours[0]), cell(hours[2])),
              ("executive", cell(cases[1]), cell(hours[1]), cell(mixed)),
              ("margin", "", cell(hours[0]), "")),
        *hours, *cases, mixed,
    )  # fmt: skip
    assert [column.title for column in found.columns] == ["Tier", "Cases", "Either"]
    assert [[c.text for c in row] for row in found.rows] == [
        ["management", "50", ""], ["executive", "51", "99"]
    ]  # fmt: skip
    assert [c for row in found.rows for c in row if c.figure in {"hours/2", "hours/0"}] == []


def cut_table(found: Table, *figures: Any) -> Table:
    section = Section(id="s", title="S", tables=(found,))
    report = digest().model_copy(update={"sections": (section,), "figures": figures, "summary": ()})
    return for_audience(report, FOR_PARTNER).sections[0].tables[0]


# --- the model ------------------------------------------------------------------------------------


def test_a_table_or_chart_with_a_hole_is_refused() -> None:
    with pytest.raises(ValidationError, match="row 2 has 1 cells for 2 columns"):
        table("T", "A|B", ("1", "2"), ("1",))
    with pytest.raises(ValidationError, match="'series 0' has 1 values for 2 points"):
        chart(ChartKind.LINES, Unit.COUNT, ["a", "b"], ["1"])


def test_the_document_of_a_report_is_read_back() -> None:
    for report in (digest(), scorecard()):
        assert Report.model_validate(render(report).document) == report


@pytest.mark.parametrize(
    ("kind", "unit", "values", "ticks"),
    [
        (ChartKind.LINES, Unit.PERCENT, ["92", "99.5"], "90 92.5 95 97.5 100"),
        (ChartKind.LINES, Unit.PERCENT, ["100", "100"], "90 100"),
        (ChartKind.BARS, Unit.PERCENT, ["3", "20"], "0 50 100"),
        (ChartKind.STACKED, Unit.COUNT, ["11", "29"], "0 10 20 30"),
        (ChartKind.LINES, Unit.HOURS, ["-3", "4"], "-5 -2.5 0 2.5 5"),
        (ChartKind.BARS, Unit.COUNT, ["0", None], "0 0.5 1"),
        (ChartKind.LINES, Unit.MONEY, ["1E+21", "3E+21"], "1E+21 2E+21 3E+21"),
    ],
)
def test_axes_have_round_numbers(
    kind: ChartKind, unit: Unit, values: list[str | None], ticks: str
) -> None:
    scale = scale_of(chart(kind, unit, ["a", "b"], values))
    assert scale is not None
    assert list(scale.ticks) == [Decimal(tick) for tick in ticks.split()]
    assert scale.low <= scale.ticks[0]
    assert scale.ticks[-1] <= scale.high


def test_cells_with_a_tone_carry_its_sign() -> None:
    bad = Cell(text="late", tone=Tone.BAD)
    report = digest().model_copy(
        update={"sections": (Section(id="s", title="S", tables=(table("T", "A", (bad,)),)),)}
    )
    shown = everywhere(report)
    del shown["document"]
    assert all("✗ late" in text for text in shown.values())
