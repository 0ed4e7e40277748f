"""Changes: what a restatement says differently from the issue before it, and because of what."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rules.report_parts import many
from schemas.report import Change, Report, counted

RowsBehind = Callable[[str], Iterable[Mapping[str, Any]]]
"""The rows behind a figure, none for one that is not there; each row has a `name`."""


def changes_between(
    old: Report, old_rows: RowsBehind, new: Report, new_rows: RowsBehind
) -> tuple[Change, ...]:
    """Every figure that reads differently now, in the order of the new report."""
    before = {figure.id: figure for figure in old.all_figures()}
    after = {figure.id: figure for figure in new.all_figures()}
    found = []
    for name in dict.fromkeys((*after, *before)):
        was, now = before.get(name), after.get(name)
        if was is not None and now is not None and (was.shown, was.n) == (now.shown, now.n):
            continue
        known = was or now
        assert known is not None
        if was is None and now is not None and not now.n:
            continue  # nothing was, and nothing is
        found.append(
            Change(
                figure=name,
                label=known.label,
                was="not there" if was is None else _shown(was.shown, was.n, was.counts),
                now="gone" if now is None else _shown(now.shown, now.n, now.counts),
                because=_because(_by_name(old_rows(name)), _by_name(new_rows(name))),
            )
        )
    return tuple(found)


def _by_name(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(row["name"]): row for row in rows}


def _shown(shown: str, n: int | None, counts: str) -> str:
    return shown if n is None or shown == f"{n:,}" else f"{shown} of {n:,} {counted(counts, n)}"


def _because(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(_reasons(old, new))


def _reasons(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    came = len(new.keys() - old.keys())
    went = len(old.keys() - new.keys())
    changed = sum(old[name] != new[name] for name in old.keys() & new.keys())
    if came:
        yield f"{many(came, 'row')} came"
    if went:
        yield f"{many(went, 'row')} went"
    if changed:
        yield f"{many(changed, 'row')} changed"
