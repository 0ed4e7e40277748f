"""Early warnings: partners with whom it goes the wrong way, before anybody counts the damage.

Two things are looked at over five periods: what share of the promises to a partner were kept, and
how many cases were opened. The last two periods are held against the three before. A partner is
named only if chance explains the difference badly (less than one time in twenty, one-sided), and
only with enough to count: with three late answers in a quiet month nobody learns anything.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import comb, sqrt

from rules.attainment import Attainment
from rules.digest.material import Counts, Material, is_promise
from rules.digest.sheet import Question, Sheet
from rules.report_parts import LISTED, columns, said, shown_share, table, unlisted
from schemas.report import Figure, Section, Tone, Unit

#: Commitments that must have been due on either side of the comparison.
ENOUGH_DUE = 10
#: Cases that must have been opened in the last two periods.
ENOUGH_OPENED = 4
_RECENT = 2
#: What the ids of its figures begin with.
WARNINGS = "early-warnings/"
_Z_95 = 1.6448536269514722
"""One-sided 95 % quantile of the normal distribution."""
_CHANCE = Decimal("0.05")
_NOTHING = Attainment(0, 0, {})

RULE = (
    "Named are partners with whom, over five periods, the share of promises kept in the last two "
    f"lies below that of the three before (at least {ENOUGH_DUE} due in each), or of whose cases "
    f"more were opened in the last two than two fifths of all explain (at least {ENOUGH_OPENED}); "
    "both by more than chance explains in 19 of 20 comparisons (one-sided)."
)


@dataclass(frozen=True, slots=True)
class Trend:
    """A partner with whom something goes the wrong way."""

    partner_id: str
    kept: tuple[Attainment, ...]
    """Of each period, oldest first."""
    opened: tuple[int, ...]
    kept_falls: bool
    openings_rise: bool


def share_falls(before: Attainment, now: Attainment) -> bool:
    """Whether a share is lower by more than chance explains.

    A test of two proportions with the pooled share (Fleiss, Statistical Methods for Rates and
    Proportions, chapter 2), one-sided at 5 %.
    """
    if before.n < ENOUGH_DUE or now.n < ENOUGH_DUE:
        return False
    pooled = (before.met + now.met) / (before.n + now.n)
    spread = sqrt(pooled * (1 - pooled) * (1 / before.n + 1 / now.n))
    return before.met / before.n - now.met / now.n > _Z_95 * spread


def count_rises(before: int, now: int, periods_before: int, periods_now: int) -> bool:
    """Whether more were counted than the rate of all periods explains.

    If nothing changed, each of the n counted fell into the recent periods with the share of time
    that they are: the tail of a binomial, exactly (Przyborowski and Wilenski, Biometrika 31, 1940).
    """
    n = before + now
    if now < ENOUGH_OPENED or n > 5_000:
        return False
    periods = periods_before + periods_now
    tail = sum(comb(n, k) * periods_now**k * periods_before ** (n - k) for k in range(now, n + 1))
    return Decimal(tail) / Decimal(periods**n) < _CHANCE


def trends(m: Material) -> list[Trend]:
    """Partners that are warned of, the clearest first."""
    kept = [_by_partner(counts) for counts in (*m.before, m.counts)]
    opened = [_openings(counts) for counts in m.openings]
    found = []
    for partner_id in sorted({*(p for k in kept for p in k), *(p for o in opened for p in o)}):
        if not partner_id:
            continue
        shares = tuple(k.get(partner_id, _NOTHING) for k in kept)
        counted = tuple(o[partner_id] for o in opened)
        falls = share_falls(_pooled(shares[:-_RECENT]), _pooled(shares[-_RECENT:]))
        rises = count_rises(
            sum(counted[:-_RECENT]), sum(counted[-_RECENT:]), len(counted) - _RECENT, _RECENT
        )
        if falls or rises:
            found.append(Trend(partner_id, shares, counted, falls, rises))
    return sorted(
        found, key=lambda t: (-(t.kept_falls + t.openings_rise), -sum(t.opened), t.partner_id)
    )


def _pooled(shares: Sequence[Attainment]) -> Attainment:
    return Attainment(sum(s.met for s in shares), sum(s.breached for s in shares), {})


def _by_partner(counts: Counts) -> dict[str, Attainment]:
    met: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for (partner_id, _, metric, asked, _, entered), n in counts.items():
        if not is_promise(metric, asked):
            continue
        if entered == "met":
            met[partner_id] += n
        elif entered in ("breached", "open"):
            broken[partner_id] += n
    return {who: Attainment(met[who], broken[who], {}) for who in met.keys() | broken.keys()}


def _openings(counts: Counter[tuple[str, str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (partner_id, _), n in counts.items():
        found[partner_id] += n
    return found


def early_warning_section(m: Material, sheet: Sheet) -> Section:
    """Partners with whom it goes the wrong way, with the evidence."""
    rows = []
    for trend in trends(m):
        put = sheet.put(
            Figure(
                id=f"{WARNINGS}{trend.partner_id}",
                label=f"{m.names.partner(trend.partner_id)}: the wrong way",
                value=Decimal(trend.opened[-1] + trend.kept[-1].breached),
                shown=_what(trend),
                unit=Unit.NUMBER,
                definition=f"Promises broken plus cases opened in the period. {RULE}",
                n=trend.kept[-1].n,
                counts="commitments",
                before=tuple(
                    Decimal(opened + kept.breached)
                    for opened, kept in zip(trend.opened[:-1], trend.kept[:-1], strict=True)
                ),
                tone=Tone.WATCH,
            ),
            Question("instances", {"promise": [True], "partner": [trend.partner_id]}),
        )
        rows.append(
            (
                said(m.names.partner(trend.partner_id)),
                said(put.shown, Tone.WATCH).model_copy(update={"figure": put.id}),
                said("  ".join(shown_share(kept).removesuffix(" %") for kept in trend.kept)),
                said("  ".join(str(kept.n) for kept in trend.kept)),
                said("  ".join(map(str, trend.opened))),
            )
        )
    more = len(rows) - LISTED
    return Section(
        id="early-warnings",
        title="Early warnings",
        tables=(
            table(
                "Partners that trend the wrong way",
                columns("partner", "what", "kept, %", "due", "cases opened"),
                rows[:LISTED],
                "No partner trends the wrong way by more than chance explains.",
                f"Five periods, the oldest first. {RULE} {unlisted(more, 'partner')}".rstrip(),
            ),
        ),
    )


def _what(trend: Trend) -> str:
    return " and ".join(
        ["fewer promises kept"] * trend.kept_falls + ["more cases opened"] * trend.openings_rise
    )
