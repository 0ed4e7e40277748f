"""The summary: five lines at most that a reader can stop after."""

from collections.abc import Iterator

from rules.delivery_figures import ZERO
from rules.report_parts import many, plain
from rules.scorecard.sheet import Sheet
from schemas.report import Headline, Tone


def summary(sheet: Sheet) -> Iterator[Headline]:
    """Deliveries, promises, problems, defects: a line or two for each that had any."""
    yield from _deliveries(sheet)
    yield from _promises(sheet)
    yield from _problems(sheet)
    yield from _defects(sheet)


def _deliveries(sheet: Sheet) -> Iterator[Headline]:
    otif, again = sheet.figures["otif"], sheet.figures["otif/repromised"]
    if not otif.n:
        yield Headline(text="No order was due.", figures=(otif.id,))
        return
    target = "" if otif.target is None else f", target {plain(otif.target)} %"
    yield Headline(
        text=f"OTIF {otif.shown} of {many(otif.n, 'order')}{target}; "
        f"by re-promised dates {again.shown}.",
        tone=otif.tone,
        figures=(otif.id, again.id),
    )
    on_time, full = sheet.figures["on_time"], sheet.figures["in_full"]
    yield Headline(
        text=f"On time {on_time.shown}, in full {full.shown}.", figures=(on_time.id, full.id)
    )


def _promises(sheet: Sheet) -> Iterator[Headline]:
    promises = [f for f in sheet.figures.values() if f.id.startswith("sla/") and f.n]
    missed = [f for f in promises if f.reached is False]
    if missed:
        named = ", ".join(f"{f.label.lower()} {f.shown}" for f in missed)
        yield Headline(
            text=f"Promises below target: {named}.",
            tone=Tone.BAD,
            figures=tuple(f.id for f in missed),
        )
    elif promises:
        worst = min(promises, key=lambda f: (f.value or ZERO, f.id))
        yield Headline(
            text=f"Of {many(len(promises), 'kind')} of promises the least kept: "
            f"{worst.label.lower()}, {worst.shown}.",
            figures=(worst.id,),
        )


def _problems(sheet: Sheet) -> Iterator[Headline]:
    median, still = sheet.figures["resolution/median"], sheet.figures["resolution/open"]
    oldest = sheet.figures["resolution/oldest"]
    if median.n or still.value:
        solved, left = "No problem solved", "none open"
        if median.n:
            solved = f"{many(median.n, 'problem')} solved (median {median.shown})"
        if still.value:
            left = f"{still.shown} open, the oldest for {oldest.shown}"
        yield Headline(
            text=f"{solved}, {left}.",
            figures=(median.id, still.id, oldest.id),
        )


def _defects(sheet: Sheet) -> Iterator[Headline]:
    found = sheet.figures["defects_per_million"]
    if found.value is not None:
        before = found.before[-1]
        was = "" if before is None else f" (the month before: {plain(before)})"
        yield Headline(text=f"Defective units: {found.shown}{was}.", figures=(found.id,))
