"""The summary: five lines that a leader can stop after."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rules.clocks.ladder_clocks import ACKNOWLEDGE
from rules.deadlines import in_words
from rules.digest.decisions import asked_for
from rules.digest.early_warnings import WARNINGS
from rules.digest.material import Material
from rules.digest.open_cases import open_at_end
from rules.digest.sheet import Sheet
from rules.report_parts import many, words
from schemas.report import Figure, Headline, Tone

_NAMED = 3


def summary(m: Material, sheet: Sheet) -> tuple[Headline, ...]:
    """Promises, breaches, escalations, early warnings, decisions: one line for each."""
    return (_promises(m, sheet), _breaches(m, sheet), _escalations(m, sheet), _warnings(m, sheet),
            _decisions(m))  # fmt: skip


def _promises(m: Material, sheet: Sheet) -> Headline:
    whole = sheet.figures["attainment/all"]
    if not whole.n:
        return Headline(text="No promise to a partner fell due.", figures=(whole.id,))
    text = f"{whole.shown} of the promises to partners were kept ({many(whole.n, 'commitment')} due"
    text += f"{_earlier(m, whole)})"
    targets = [
        f
        for f in sheet.figures.values()
        if f.id.startswith("attainment/") and f.reached is not None
    ]
    missed = [f for f in targets if not f.reached]
    tone = Tone.PLAIN
    if targets:
        text += f"; {len(targets) - len(missed)} of {many(len(targets), 'target')} reached"
        tone = Tone.BAD if missed else Tone.GOOD
    return Headline(text=f"{text}.", tone=tone, figures=(whole.id, *(f.id for f in missed)))


def _earlier(m: Material, figure: Figure) -> str:
    """The share in each period before, and in which of them nothing was due."""
    periods = m.period.before(len(figure.before))
    shares = list(zip(periods, figure.before, strict=True))
    known = [f"{value} % in {period.short}" for period, value in shares if value is not None]
    empty = [period.short for period, value in shares if value is None]
    if not known:
        return ""
    return "; " + ", ".join(known) + (f"; none due in {', '.join(empty)}" if empty else "")


def _breaches(m: Material, sheet: Sheet) -> Headline:
    broken = sheet.figures["breaches/all"]
    if not broken.n:
        return Headline(text="No promise was broken.", tone=Tone.GOOD, figures=(broken.id,))
    verb = "was" if broken.n == 1 else "were"
    text = f"{many(broken.n, 'promise')} {verb} broken"
    if m.breaches:
        worst = m.breaches[0]
        text += (
            f"; the longest overdue: {words(worst.metric)} for "
            f"{m.names.partner(worst.partner_id)}, {in_words(worst.late_at(m.until))} late"
        )
    by_partner: Counter[str] = Counter()
    for cell, n in m.counts.items():
        if cell[-1] in ("breached", "open") and not cell[3] and cell[2] != "partner_response":
            by_partner[cell[0]] += n
    most = min(by_partner.items(), key=lambda item: (-item[1], item[0]), default=None)
    if most is not None and most[1] > 1:
        text += f"; most with {m.names.partner(most[0])} ({most[1]})"
    return Headline(text=f"{text}.", tone=Tone.BAD, figures=(broken.id,))


def _escalations(m: Material, sheet: Sheet) -> Headline:
    figures = ["escalations/all", "open-cases/all"]
    asked = sheet.figures["escalations/all"].n or 0
    opened = open_at_end(m)
    if not asked and not opened:
        return Headline(text="No case asked anybody, and none is open.", figures=tuple(figures))
    tiers = [(tier, sheet.figures.get(f"escalations/{tier}")) for tier in m.tiers]
    by_tier = [f"{figure.n:,} at {tier}" for tier, figure in tiers if figure is not None]
    text = f"Cases asked a tier {many(asked, 'time')}"
    text += f" ({', '.join(by_tier)})" if by_tier else ""
    silent = sum(e.because == ACKNOWLEDGE and not e.retracted for e in m.escalations)
    if silent:
        text += f", {silent:,} of them because nobody below had answered"
    if opened:
        is_are = "is" if len(opened) == 1 else "are"
        oldest = in_words(m.until - opened[0].opened_at)
        text += f"; {many(len(opened), 'case')} {is_are} open, the oldest for {oldest}"
    else:
        text += "; no case is open"
    return Headline(
        text=f"{text}.", tone=Tone.WATCH if silent else Tone.PLAIN, figures=tuple(figures)
    )


def _warnings(m: Material, sheet: Sheet) -> Headline:
    found = [f.id for f in sheet.figures.values() if f.id.startswith(WARNINGS)]
    if not found:
        return Headline(text="No partner trends the wrong way by more than chance explains.")
    names = list(_named([m.names.partner(name.removeprefix(WARNINGS)) for name in found]))
    return Headline(
        text=f"{many(len(found), 'partner trends', 'partners trend')} the wrong way: "
        f"{', '.join(names)}.",
        tone=Tone.WATCH,
        figures=tuple(found),
    )


def _decisions(m: Material) -> Headline:
    found = asked_for(m)
    if not found:
        return Headline(
            text="Nothing waits for a decision.", tone=Tone.GOOD, figures=("decisions/all",)
        )
    by_what = Counter(a.what for a in found)
    listed = ", ".join(many(n, what) for what, n in by_what.items())
    need = "needs" if len(found) == 1 else "need"
    return Headline(
        text=f"{many(len(found), 'thing')} {need} a decision: {listed}.",
        tone=Tone.WATCH,
        figures=("decisions/all",),
    )


def _named(names: Sequence[str]) -> Iterator[str]:
    yield from names[:_NAMED]
    if len(names) > _NAMED:
        yield f"{len(names) - _NAMED} more"
