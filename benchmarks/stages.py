"""Where the time goes: what the profiler saw, put down to the stages of the main path."""

from pstats import Stats
from typing import Any

# Stage to the functions in whose time it lies, as (end of the file's name, function). No function
# of one stage calls one of another. SQL statements are known by who runs them.
_STAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "parse": (("schemas/events.py", "parse_event"),),
    "state": (
        ("rules/subjects.py", "state_subject"),
        ("event_counts.py", "count_events"),
        ("event_counts.py", "count_by_day"),
    ),
    "load": (
        ("store/bulk.py", "load"),
        ("store/intake.py", "rejected_of_subjects"),
        ("handler.py", "_cases_in_time"),
    ),
    "decode": (("rules/subjects.py", "read_document"),),
    "screen": (("rules/screen.py", "screen_order"), ("rules/screen.py", "screen_ticket")),
    "clocks": (("rules/clock_news.py", "ticket_news"), ("rules/decide.py", "warn")),
    "fold": (("rules/decide.py", "_fold"),),
    "encode": (("rules/subjects.py", "write_document"),),
    "write subjects": (("store/subjects.py", "_write_subjects"),),
    "write cases": (
        ("store/cases.py", "_write_cases"),
        ("store/cases.py", "_write_steps"),
        ("store/cases.py", "_write_journal"),
        ("store/outbox.py", "_write_effects"),
    ),
    "commit": (("~", "<method 'commit' of 'sqlite3.Connection' objects>"),),
}
_ALL = (("streams/handler.py", "take"), ("streams/handler.py", "tick"))


def stages(stats: Stats, events: int) -> dict[str, float]:
    """Microseconds an event for each stage, and `rest` for what lies between them."""
    found = {name: _spent(stats, places) / events * 1e6 for name, places in _STAGES.items()}
    found["rest"] = _spent(stats, _ALL) / events * 1e6 - sum(found.values())
    return found


def _spent(stats: Stats, places: tuple[tuple[str, str], ...]) -> float:
    recorded: dict[Any, Any] = stats.stats  # type: ignore[attr-defined]  # typeshed leaves it out
    return sum(
        float(cumulative)
        for (file, _, function), (_, _, _, cumulative, _) in recorded.items()
        if any(file.endswith(end) and function == name for end, name in places)
    )
