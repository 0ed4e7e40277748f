"""Attainment: how many promises to partners were kept, by partner tier, metric and partner."""

from collections import Counter
from collections.abc import Sequence

from rules.attainment import Attainment, Outcome
from rules.digest.material import OTHERS, Counts, Material, attained, is_promise
from rules.digest.sheet import Question, Sheet
from rules.ledger import Instance
from rules.report_parts import (
    LISTED,
    cell,
    columns,
    left_out,
    plain,
    said,
    share,
    shown_share,
    table,
    target_of,
    unlisted,
    words,
)
from schemas.policy import Metric
from schemas.report import Chart, ChartKind, Figure, Section, Series, Table, Unit

_DUE = [str(Outcome.MET), str(Outcome.BREACHED)]
_ORDER = {str(metric): n for n, metric in enumerate(Metric)}


def attainment_sections(m: Material, sheet: Sheet) -> tuple[Section, ...]:
    """Promises kept: in all, by partner tier and metric, by partner, and what partners owe us."""
    promises = _Promises(m)
    return (
        Section(
            id="attainment",
            title="Promises to partners",
            text=_remarks(m),
            figures=_headline_figures(promises, sheet),
            charts=_charts(m, promises),
            tables=(
                _by_tier_and_metric(promises, sheet),
                *_by_tickets(promises, sheet),
                *_of_partners(m, sheet),
            ),
        ),
        Section(
            id="partners",
            title="Promises by partner",
            tables=(_by_partner(promises, sheet),),
        ),
    )


class _Promises:
    """What is owed to partners, taken out of everything that the period holds."""

    def __init__(self, m: Material) -> None:
        self.m = m
        self.counts = self._promised(m.counts)
        self.before = [self._promised(counts) for counts in m.before]
        self.paused = [p for p in m.paused if is_promise(p.metric, p.escalation_tier)]

    @staticmethod
    def _promised(counts: Counts) -> Counts:
        return Counter({c: n for c, n in counts.items() if is_promise(c[2], c[3])})

    def figure(self, tier: str | None = None, metric: str | None = None) -> Attainment:
        """Of a partner tier and a metric, or of all."""
        paused: Sequence[Instance] = [
            row
            for row in self.paused
            if tier in (None, row.partner_tier) and metric in (None, row.metric)
        ]
        opened = sum(
            n
            for (of_tier, of_metric, asked), n in self.m.open.items()
            if is_promise(of_metric, asked) and tier in (None, of_tier)
            and metric in (None, of_metric)
        )  # fmt: skip
        return attained(_of(self.counts, tier, metric), opened, paused, self.m.until)

    def earlier(self, tier: str | None = None, metric: str | None = None) -> list[Attainment]:
        """The same of the periods before."""
        return [attained(_of(counts, tier, metric)) for counts in self.before]

    @property
    def groups(self) -> list[tuple[str, str]]:
        """Partner tiers with metrics of which there is something to say, best tier first."""
        found = {(c[1], c[2]) for counts in (self.counts, *self.before) for c in counts}
        found |= {(t, x) for (t, x, asked), n in self.m.open.items() if n and is_promise(x, asked)}
        rank = {tier: n for n, tier in enumerate(self.m.partner_tiers)}
        return sorted(
            found,
            key=lambda g: (rank.get(g[0], len(rank)), g[0], _ORDER.get(g[1], len(_ORDER)), g[1]),
        )

    @property
    def tiers(self) -> list[str]:
        """Partner tiers, best first."""
        return list(dict.fromkeys(tier for tier, _ in self.groups))


def _of(counts: Counts, tier: str | None, metric: str | None) -> Counts:
    return Counter(
        {c: n for c, n in counts.items() if tier in (None, c[1]) and metric in (None, c[2])}
    )


def _headline_figures(promises: _Promises, sheet: Sheet) -> tuple[Figure, ...]:
    whole = promises.figure()
    question = Question("instances", {"promise": [True], "outcome": _DUE})
    kept = sheet.attainment(
        "attainment/all",
        "Promises kept",
        whole,
        question,
        target=target_of(promises.m.targets, "", ""),
        before=promises.earlier(),
        of="Commitments to partners",
    )
    harsh = sheet.attainment(
        "attainment-without-excuses/all",
        "If every excuse were a breach",
        whole.if_excuses_were_breaches,
        Question("instances", {"promise": [True], "outcome": [*_DUE, str(Outcome.EXCUSED)]}),
        of="Commitments to partners, with each excused one counted as broken:",
    )
    broken = sheet.count(
        "breaches/all",
        "Promises broken",
        whole.breached,
        "commitments",
        "Commitments to partners whose deadline fell in the period and that were not kept by it.",
        Question("instances", {"promise": [True], "outcome": [str(Outcome.BREACHED)]}),
        before=[figure.breached for figure in promises.earlier()],
    )
    return sheet.tiles(kept, harsh, broken)


def _by_tier_and_metric(promises: _Promises, sheet: Sheet) -> Table:
    m = promises.m
    rows = []
    for tier, metric in promises.groups:
        figure = promises.figure(tier, metric)
        target = target_of(m.targets, tier, metric)
        before = promises.earlier(tier, metric)
        put = sheet.attainment(
            f"attainment/{tier}/{metric.removeprefix('touchpoint:')}",
            f"{words(metric)}, {tier} partners",
            figure,
            Question("instances", {"partner_tier": [tier], "metric": [metric], "outcome": _DUE}),
            target=target,
            before=before,
        )
        rows.append(
            (
                said(tier),
                said(words(metric)),
                cell(put),
                said("" if target is None else f"{plain(target)} %"),
                said(figure.n),
                said(figure.breached),
                said(_four_before(before)),
                said(left_out(figure)),
            )
        )
    return table(
        "By partner tier and metric",
        columns(
            "tier", "promise", "kept", "target", "due", "broken", "four before", "left out",
            numbers=("kept", "target", "due", "broken"),
        ),
        rows,
        "No promise to a partner fell due.",
        "Left out: called off, excused, never ran, and what was open at the end of the period.",
    )  # fmt: skip


def _by_tickets(promises: _Promises, sheet: Sheet) -> tuple[Table, ...]:
    """Where the policy promises some tickets something of their own: each promise by itself."""
    m = promises.m
    now, *past = (_split(counts) for counts in (promises.counts, *promises.before))
    found = {promise for of in (now, *past) for promise in of}
    several = {(tier, metric) for tier, metric, tickets in found if tickets}
    groups = {group: n for n, group in enumerate(promises.groups)}
    rank = {tickets: n for n, tickets in enumerate((*m.tickets, ""))}
    shown = [promise for promise in found if promise[:2] in several]
    shown.sort(key=lambda p: (groups[p[:2]], rank.get(p[2], len(rank)), p[2]))
    rows = []
    for promise in shown:
        tier, metric, tickets = promise
        figure = attained(now.get(promise, Counter()))
        before = [attained(of.get(promise, Counter())) for of in past]
        name = tickets or OTHERS
        put = sheet.attainment(
            f"attainment-by-tickets/{tier}/{metric}/{name}",
            f"{words(metric)}, {tier} partners, {name}",
            figure,
            Question(
                "instances",
                {"partner_tier": [tier], "metric": [metric], "promised_for": [name],
                 "outcome": _DUE},
            ),
            target=target_of(m.targets, tier, metric),
            before=before,
        )  # fmt: skip
        rows.append(
            (
                said(tier),
                said(words(metric)),
                said(name),
                cell(put),
                said(figure.n),
                said(figure.breached),
                said(_four_before(before)),
                said(left_out(figure)),
            )
        )
    if not rows:
        return ()
    return (
        table(
            "By severity and category",
            columns(
                "tier", "promise", "tickets", "kept", "due", "broken", "four before", "left out",
                numbers=("kept", "due", "broken"),
            ),
            rows[:LISTED],
            "No promise to a partner fell due.",
            "Left out: called off, excused, never ran. "
            + unlisted(len(rows) - LISTED, "promise"),
        ),
    )  # fmt: skip


def _split(counts: Counts) -> dict[tuple[str, str, str], Counts]:
    """(partner tier, metric, for which tickets) to the counts of that promise."""
    found: dict[tuple[str, str, str], Counts] = {}
    for c, n in counts.items():
        found.setdefault((c[1], c[2], c[4]), Counter())[c] += n
    return found


def _four_before(before: Sequence[Attainment]) -> str:
    return "  ".join("-" if figure.n == 0 else figure.percent for figure in before)


def _by_partner(promises: _Promises, sheet: Sheet) -> Table:
    m = promises.m
    by_partner: dict[str, Counts] = {}
    for c, n in promises.counts.items():
        by_partner.setdefault(c[0], Counter())[c] += n
    found = []
    for partner_id, counts in by_partner.items():
        figure = attained(counts)
        if figure.instances:
            tier = max(counts.items(), key=lambda item: (item[1], item[0]))[0][1]
            found.append((figure, partner_id, tier))
    # The most broken first: what a share hides with small numbers, the count does not.
    found.sort(key=lambda f: (-f[0].breached, f[0].met, f[1]))
    rows = []
    for figure, partner_id, tier in found:
        put = sheet.attainment(
            f"attainment-by-partner/{partner_id}",
            m.names.partner(partner_id),
            figure,
            Question("instances", {"promise": [True], "partner": [partner_id], "outcome": _DUE}),
        )
        rows.append(
            (
                said(m.names.partner(partner_id)),
                said(tier),
                cell(put),
                said(figure.n),
                said(figure.breached),
                said(left_out(figure)),
            )
        )
    return table(
        "Most broken first",
        columns(
            "partner", "tier", "kept", "due", "broken", "left out",
            numbers=("kept", "due", "broken"),
        ),
        rows[:LISTED],
        "No promise to a partner fell due.",
        unlisted(len(rows) - LISTED, "partner"),
    )  # fmt: skip


def _of_partners(m: Material, sheet: Sheet) -> tuple[Table, ...]:
    """What partners owed us."""
    rows = []
    owed = Counter({c: n for c, n in m.counts.items() if c[2] == Metric.PARTNER_RESPONSE})
    for tier in sorted({c[1] for c in owed}):
        figure = attained(_of(owed, tier, None))
        put = sheet.attainment(
            f"partner-obligations/{tier}",
            f"answers of {tier} partners",
            figure,
            Question(
                "instances",
                {"partner_tier": [tier], "metric": [str(Metric.PARTNER_RESPONSE)],
                 "outcome": _DUE},
            ),
            of="Answers that partners owed us",
        )  # fmt: skip
        rows.append((said(tier), cell(put), said(figure.n), said(figure.breached)))
    if not rows:
        return ()
    return (
        table(
            "Answers that partners owed us",
            columns("tier", "in time", "due", "late", numbers=("in time", "due", "late")),
            rows,
            "No partner owed us an answer.",
        ),
    )


def _charts(m: Material, promises: _Promises) -> tuple[Chart, ...]:
    points = (*(p.short for p in m.period.before(len(promises.before))), m.period.short)
    series = []
    for tier in promises.tiers:
        figures = [*promises.earlier(tier), promises.figure(tier)]
        if any(figure.n for figure in figures):
            series.append(Series(label=tier, values=tuple(map(share, figures))))
    if not series:
        return ()
    whole = target_of(m.targets, "", "")
    ends = ", ".join(f"{tier} {shown_share(promises.figure(tier))}" for tier in promises.tiers)
    return (
        Chart(
            title="Promises kept, by partner tier",
            kind=ChartKind.LINES,
            unit=Unit.PERCENT,
            points=points,
            series=tuple(series),
            target=whole,
            alt=f"Share of promises kept over {len(points)} periods; in the last: {ends}.",
        ),
    )


def _remarks(m: Material) -> tuple[str, ...]:
    if m.until < m.period.end:
        return ("The period still runs: what falls due later in it is not in these figures.",)
    return ()
