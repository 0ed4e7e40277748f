"""A version of a report for those who may see some classes of figures only."""

from collections.abc import Iterator, Set

from schemas.report import Cell, Figure, Report, Section, Table, Visibility


def for_audience(report: Report, visibilities: Set[Visibility]) -> Report:
    """The report with only what is of these classes.

    - Figures, tables and charts go by their own class.
    - A cell that shows a figure left out is empty. A row or a column in which nothing is left but
      names goes whole, so that no heading tells what was there.
    - A headline stays if it speaks of figures, and all of them stay.
    - What has no class may say anything, and so is for our house alone: sentences under headings,
      headlines without figures, control totals, notes.
    """
    if set(Visibility) <= set(visibilities):
        return report
    ours = Visibility.CONFIDENTIAL in visibilities
    seen = {figure.id for figure in report.all_figures() if figure.visibility in visibilities}
    return report.model_copy(
        update={
            "summary": tuple(
                line
                for line in report.summary
                if seen.issuperset(line.figures) and (line.figures or ours)
            ),
            "changes": tuple(change for change in report.changes if change.figure in seen),
            "sections": tuple(_sections(report, visibilities, seen, ours=ours)),
            "figures": _seen(report.figures, seen),
            "controls": report.controls if ours else (),
            "notes": report.notes if ours else (),
        }
    )


def _seen(figures: tuple[Figure, ...], seen: Set[str]) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure.id in seen)


def _sections(
    report: Report, visibilities: Set[Visibility], seen: Set[str], *, ours: bool
) -> Iterator[Section]:
    for section in report.sections:
        tables = (t for t in section.tables if t.visibility in visibilities)
        cut = section.model_copy(
            update={
                "text": section.text if ours else (),
                "figures": _seen(section.figures, seen),
                "charts": tuple(c for c in section.charts if c.visibility in visibilities),
                "tables": tuple(kept for t in tables if (kept := _cut(t, seen)) is not None),
            }
        )
        if cut.text or cut.figures or cut.charts or cut.tables:
            yield cut


def _cut(table: Table, seen: Set[str]) -> Table | None:
    """The table without what is not seen; None if no row is left of those it had."""

    def hidden(cell: Cell) -> bool:
        return cell.figure is not None and cell.figure not in seen

    def bare(cells: tuple[Cell, ...]) -> bool:
        """Whether every figure in a row or column is hidden, and there was one."""
        figures = [cell for cell in cells if cell.figure is not None]
        return bool(figures) and all(map(hidden, figures))

    if not table.rows:
        return table
    rows = [row for row in table.rows if not bare(row)]
    if not rows:
        return None
    kept = [at for at, cells in enumerate(zip(*rows, strict=True)) if not bare(cells)]
    blank = Cell(text="")
    return table.model_copy(
        update={
            "columns": tuple(table.columns[at] for at in kept),
            "rows": tuple(
                tuple(blank if hidden(row[at]) else row[at] for at in kept) for row in rows
            ),
        }
    )
