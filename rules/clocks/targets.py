"""Which commitment wins for each metric: exactly one, and why.

The partner tier says where to look. There the overrides are read in the order in which they are
listed: for each metric, the first one that matches the ticket's category and severity and speaks
of that metric wins; if none does, what the tier promises to everybody.
"""

from collections.abc import Mapping

from rules.clocks.clock import Target
from schemas.policy import Commitments, Metric, Override, OverrideWhen


def targets(
    tier: str, commitments: Commitments | None, category: str | None, severity: str | None
) -> Mapping[str, Target]:
    """Metric to the commitment that wins. A metric that nobody promised is not in it."""
    if commitments is None:
        return {}
    found: dict[str, Target] = {}
    for n, override in enumerate(commitments.overrides):
        if not _matches(override.when, category, severity):
            continue
        place = f"commitments.{tier}.overrides[{n}]"
        tickets = tickets_of(override.when)
        for metric in Metric:
            if metric in found or not _speaks_of(override, metric):
                continue
            span = None if metric in override.without else getattr(override, metric)
            why = f"the first override of {tier} that matches {_in_words(category, severity)}"
            found[metric] = Target(metric, span, f"{place}.{metric}", why, tickets)
    for metric in Metric:
        span = getattr(commitments, metric)
        if span is None or metric in found:
            continue
        why = f"what {tier} partners are promised"
        if commitments.overrides:
            why += f"; no override speaks of it for {_in_words(category, severity)}"
        found[metric] = Target(metric, span, f"commitments.{tier}.{metric}", why)
    return found


def tickets_of(when: OverrideWhen) -> str:
    """Which tickets an override is for, in words: `category quality or damage, severity high`."""
    said = (("category", when.category), ("severity", when.severity))
    listed = ((name, [x] if isinstance(x, str) else x) for name, x in said if x)
    return ", ".join(f"{name} {' or '.join(values)}" for name, values in listed)


def _matches(when: OverrideWhen, category: str | None, severity: str | None) -> bool:
    return _is_among(category, when.category) and _is_among(severity, when.severity)


def _is_among(value: str | None, wanted: str | tuple[str, ...]) -> bool:
    """Whether a value is the wanted one. What is not known is none of them."""
    return value == wanted if isinstance(wanted, str) else not wanted or value in wanted


def _speaks_of(override: Override, metric: Metric) -> bool:
    return metric in override.without or getattr(override, metric) is not None


def _in_words(category: str | None, severity: str | None) -> str:
    return f"category {category or 'unknown'}, severity {severity or 'unknown'}"
