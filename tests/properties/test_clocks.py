"""Laws of clocks: order and repetition, the past, pauses, and that every instance has one state."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from rules.clocks.clock import Clock, ClockState
from rules.clocks.subject_clocks import clocks_of
from rules.clocks.warning_times import warnings
from rules.orders import version_of
from rules.subjects import Contribution, Document
from rules.tickets import Ticket
from schemas.time import HOUR
from tests.clock_timelines import ALWAYS, OFFICE, TICKET, TOUCHPOINTS, Timeline, at, policy

BEGIN = at("2026-11-02 00:00")
HOURS = 24 * 14
STATUSES = ["open", "waiting_on_us", "waiting_on_partner", "resolved", "closed"]
DATED = [
    {"tier": "standard", "since": "2026-01-01"},
    {"tier": "strategic", "since": "2026-11-05"},
]
PROMISED = {
    "strategic": {
        "first_response": "2bh",
        "next_response": "4bh",
        "status_update": "1bd",
        "resolution": "3bd",
        "partner_response": "12h",
        "overrides": [
            {"when": {"severity": "high"}, "resolution": "6h"},
            {"when": {"severity": "low"}, "without": ["resolution", "status_update"]},
        ],
        "touchpoints": [{"kind": "call", "every": "1w"}],
    },
    "standard": {
        "first_response": "1bd",
        "resolution": "48h",
        "touchpoints": [
            {"kind": "call", "every": "2w"},
            {"kind": "mail", "every": "4d", "anchor": "rolling"},
        ],
    },
}

hours = st.integers(0, HOURS)
said = st.one_of(
    st.tuples(hours, st.just("status"), st.sampled_from(STATUSES)),
    st.tuples(hours, st.just("severity"), st.sampled_from(["high", "low", "other"])),
    st.tuples(hours, st.just("us"), st.sampled_from(["reply", "reply", "note", "automatic"])),
    st.tuples(hours, st.just("partner"), st.sampled_from(["reply", "reply", "note"])),
    st.tuples(hours, st.just("held"), st.sampled_from(["call", "mail"])),
    st.tuples(hours, st.just("skipped"), st.sampled_from(["call", "mail"])),
    st.tuples(hours, st.just("excused"), st.sampled_from(["first_response/1", "resolution/1"])),
    st.tuples(hours, st.just("moved"), st.just("")),
)
clock_settings = st.fixed_dictionaries(
    {
        "status_update": st.sampled_from(["rolling", "grid"]),
        "reopening": st.sampled_from(["resume", "new_cycle", "restart"]),
        "pause": st.sampled_from([[], ["resolution"], ["resolution", "status_update"]]),
    },
    optional={"pause_at_most": st.sampled_from(["10h", "1bd", "6bh"])},
)
histories = st.lists(said, max_size=10)
calendars = st.sampled_from([ALWAYS, OFFICE])


def tell(
    settings: Any, calendar: Any, history: list[tuple[int, str, str]], tier: Any = DATED
) -> Timeline:
    first = policy(PROMISED, settings, calendar)
    second = policy(
        {**PROMISED, "standard": {"resolution": "20h"}}, settings, calendar, digest="p2"
    )
    timeline = Timeline(first, ("2026-11-06 00:00", second), tier=tier)
    timeline.opened("2026-11-02 10:00")
    for hour, kind, what in history:
        when = f"2026-11-{2 + hour // 24:02} {hour % 24:02}:00"
        match kind:
            case "status":
                timeline.status(when, what)
            case "severity":
                timeline.status(when, "open", severity=what)
            case "us":
                timeline.us(when, what)
            case "partner":
                timeline.partner(when, what)
            case "held":
                timeline.say(when, "touchpoint.held", kind=what)
            case "skipped":
                timeline.say(when, "touchpoint.skipped", kind=what, agreed_by="li")
            case "excused":
                timeline.excused(when, what, "claire")
            case _:
                timeline.say(when, "case.moved", case_id="C-0", actor="claire")
    return timeline


def both(timeline: Timeline, contributions: list[Contribution], as_of: int) -> list[Clock]:
    document = Document(contributions, {}, [])
    return [
        *clocks_of(TICKET, document, timeline.world, as_of),
        *clocks_of(TOUCHPOINTS, document, timeline.world, as_of, since=BEGIN),
    ]


@given(clock_settings, calendars, histories, hours, st.data())
def test_order_and_repetition_change_nothing(
    settings: Any, calendar: Any, history: Any, hour: int, data: st.DataObject
) -> None:
    timeline = tell(settings, calendar, history)
    as_of = BEGIN + hour * HOUR
    again = data.draw(st.lists(st.sampled_from(timeline.contributions), max_size=4))
    shuffled = data.draw(st.permutations([*timeline.contributions, *again]))
    assert both(timeline, shuffled, as_of) == both(timeline, timeline.contributions, as_of)


@given(clock_settings, calendars, histories, hours)
def test_as_of_an_instant_equals_a_replay_up_to_it(
    settings: Any, calendar: Any, history: Any, hour: int
) -> None:
    timeline = tell(settings, calendar, history)
    as_of = BEGIN + hour * HOUR
    known = [c for c in timeline.contributions if c.time <= as_of]
    assert both(timeline, timeline.contributions, as_of) == both(timeline, known, as_of)


@given(clock_settings, calendars, histories, hours, hours)
def test_what_was_once_breached_is_never_anything_but_breached_or_excused(
    settings: Any, calendar: Any, history: Any, one: int, other: int
) -> None:
    timeline = tell(settings, calendar, history)
    earlier, later = sorted((BEGIN + one * HOUR, BEGIN + other * HOUR))
    after = {c.clock_id: c for c in both(timeline, timeline.contributions, later)}
    for clock in both(timeline, timeline.contributions, earlier):
        # What counts as settled again or answered later must not take a breach back.
        if clock.state is ClockState.BREACHED:
            now = after[clock.clock_id]
            assert now.state in (ClockState.BREACHED, ClockState.EXCUSED)
            assert now.breached_at == clock.breached_at


@given(clock_settings, calendars, histories, hours, st.integers(0, 72))
def test_pausing_never_brings_a_due_time_nearer(
    settings: Any, calendar: Any, history: Any, begin: int, length: int
) -> None:
    """Under the same terms: a shorter budget that comes later counts from the start."""
    settings = {**settings, "pause": ["resolution", "first_response"]}
    quiet = [
        entry for entry in history if entry[1] not in ("status", "severity", "partner", "moved")
    ]
    end = min(begin + length, HOURS)
    pause = [(begin, "status", "waiting_on_partner"), (end, "status", "waiting_on_us")]
    as_of = BEGIN + HOURS * HOUR
    plain = tell(settings, calendar, quiet, "strategic")
    paused = tell(settings, calendar, [*quiet, *pause], "strategic")
    without = {c.key: c for c in both(plain, plain.contributions, as_of)}
    for clock in both(paused, paused.contributions, as_of):
        if clock.metric in ("resolution", "first_response"):
            before = without[clock.key]
            assert before.due is not None
            assert clock.due is not None
            assert clock.due >= before.due


@given(clock_settings, calendars, histories, hours)
def test_every_instance_has_one_name_one_state_and_a_sound_account(
    settings: Any, calendar: Any, history: Any, hour: int
) -> None:
    timeline = tell(settings, calendar, history)
    as_of = BEGIN + hour * HOUR
    clocks = both(timeline, timeline.contributions, as_of)
    assert len({clock.clock_id for clock in clocks}) == len(clocks)
    assert sum(Counter(clock.state for clock in clocks).values()) == len(clocks)
    for clock in clocks:
        assert clock.started_at <= as_of
        assert (clock.breached_at is not None) >= (clock.state is ClockState.BREACHED)
        if clock.state is ClockState.BREACHED:
            assert clock.breached_at is not None
            assert clock.recorded_at is not None
            assert clock.breached_at < as_of
            assert clock.recorded_at >= clock.breached_at
            assert clock.stopped_at is None or clock.stopped_at > clock.breached_at
        if clock.state is ClockState.MET:
            assert clock.due is not None
            assert clock.stopped_at is not None
            assert clock.stopped_at <= clock.due
        if clock.state in (ClockState.RUNNING, ClockState.PAUSED):
            assert clock.due is not None
            assert clock.due >= as_of
        pieces = [*clock.counted, *((a, b) for a, b, _ in clock.not_counted)]
        assert sum(b - a for a, b in pieces) == clock.ended_at - clock.started_at
        assert clock.spent >= 0


@given(calendars, histories, hours, hours)
def test_a_warning_once_given_keeps_its_time(
    calendar: Any, history: Any, one: int, other: int
) -> None:
    """Unless the commitment itself changed in between."""
    settings = {"warn": ["50%", "90%"], "stale_pause_after": "8h"}
    history = [entry for entry in history if entry[1] in ("us", "partner", "held")]
    history += [(30, "status", "waiting_on_partner"), (60, "status", "open")]
    timeline = tell(settings, calendar, history)
    earlier, later = sorted((BEGIN + one * HOUR, BEGIN + other * HOUR))
    rules = timeline.world.policies.newest.document.clocks

    def given_by(as_of: int, until: int) -> dict[str, int]:
        found = both(timeline, timeline.contributions, as_of)
        tiers = [c for c in found if c.partner_tier == "standard" and c.metric == "resolution"]
        return {w.key: w.at for c in tiers for w in warnings(c, rules) if w.at <= until}

    told = given_by(earlier, earlier)
    again = given_by(later, later)
    assert {key: again[key] for key in told if key in again} == {
        key: instant for key, instant in told.items() if key in again
    }


#: A question after a ticket was settled is to be answered.
ASKED_LATER = [(20, "us", "reply"), (30, "status", "resolved"), (80, "partner", "reply")]
SETTINGS = {"status_update": "rolling", "reopening": "resume", "pause": []}


@given(clock_settings, calendars, histories, hours, hours, st.booleans())
@example(SETTINGS, ALWAYS, ASKED_LATER, 90, 90, False)
def test_what_is_left_out_of_the_news_was_over(
    settings: Any, calendar: Any, history: Any, hour: int, over: int, named: bool
) -> None:
    timeline = tell(settings, calendar, history)
    as_of, over_by = BEGIN + hour * HOUR, BEGIN + over * HOUR
    known = [c for c in timeline.contributions if c.time <= as_of]
    keys = {"first_response/1"} if named else set()

    def told(ask: Callable[[Ticket], list[Clock]]) -> dict[str, Clock]:
        ticket = Ticket(TICKET, "acme", timeline.world)
        for contribution in sorted(known, key=version_of):
            ticket.apply(contribution, contribution.time)
        return {clock.key: clock for clock in ask(ticket)}

    every = told(lambda ticket: ticket.promises(as_of))
    found = told(lambda ticket: ticket.promises_to_tell_of(as_of, over_by, keys))
    assert found.items() <= every.items()
    for key in every.keys() - found.keys():
        assert key not in keys
        stopped_at = every[key].stopped_at
        assert stopped_at is not None
        assert stopped_at <= over_by
