"""Changes: what a restatement says differently from the issue before it, and because of what."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rules.digest.sheet import Question
from rules.report_parts import many
from schemas.report import Change, Report, counted

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Kind of rows to rows; each has a `name`."""


def changes_between(
    old: Report,
    old_questions: Mapping[str, Question],
    old_rows: Rows,
    new: Report,
    new_questions: Mapping[str, Question],
    new_rows: Rows,
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
                because=_because(
                    _behind(old_questions.get(name), old_rows),
                    _behind(new_questions.get(name), new_rows),
                ),
            )
        )
    return tuple(found)


def behind(question: Question, rows: Rows) -> list[Mapping[str, Any]]:
    """The rows that a figure is about."""
    return [row for row in rows.get(question.rows, ()) if question.answers(row)]


def _behind(question: Question | None, rows: Rows) -> dict[str, Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = () if question is None else behind(question, rows)
    return {str(row["name"]): row for row in found}


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
