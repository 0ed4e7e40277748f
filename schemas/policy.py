"""The policy: tiers, rules, ladders, commitments, calendars and sources, as one YAML document.

Here is its shape. What the words of a `when` mean is compiled by `rules.conditions`; what the
parts must say about each other is checked by `rules.policy`.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from schemas.fields import (
    ClockField,
    Document,
    ElapsedField,
    IntervalField,
    LeadField,
    Name,
    SpanField,
)
from schemas.units import Span, parse_span

#: Below the tiers: listed in the account manager's daily summary; no clock, no alert.
WATCH = "watch"

#: Roles that every directory can fill. A policy adds its own under `roles`.
ROLES = ("account_manager", "partnership_manager", "executive_sponsor", "operations")
OPERATIONS = "operations"

When = dict[str, Any]
"""Facts with what they must be; all are required. `any:` lists alternatives, `not:` turns one."""


class Mode(StrEnum):
    """Whether what is decided is also told."""

    LIVE = "live"
    SHADOW = "shadow"
    """Everything is decided and stored; only the redirect target hears "would have told"."""


class Rule(Document):
    """A named condition on facts, and the tier at which it opens or raises a case."""

    name: Name
    when: When
    open_at: Name
    systemic: Annotated[
        Literal["systemic"] | None, Field(alias="as", description="Opens a pattern's case.")
    ] = None
    mode: Mode = Mode.LIVE


class LadderTier(Document):
    """Whom an escalation tier notifies, and how soon it must acknowledge and resolve."""

    notify: Name
    acknowledge_within: SpanField
    resolve_within: SpanField | None = None
    remind_every: SpanField | None = None
    remind_at_most: Annotated[int, Field(ge=0, le=100)] = 3
    only_when: When | None = None
    mode: Mode = Mode.LIVE


class Anchor(StrEnum):
    """What a cadence counts from."""

    GRID = "grid"
    """Fixed points in time: keeping one early does not move the next."""
    ROLLING = "rolling"
    """The last time that it was kept."""


class Touchpoint(Document):
    """A session promised to a partner tier, and how often.

    On a grid one is owed in each week, fortnight or month, as the calendar on the wall has them
    in the partner's zone; rolling, so long after the last one.
    """

    kind: Name
    every: SpanField
    anchor: Anchor = Anchor.GRID
    starting: Annotated[
        date | None,
        Field(description="First day of any one period; without it, Mondays and firsts of month."),
    ] = None


class Metric(StrEnum):
    """What a commitment on a ticket measures."""

    FIRST_RESPONSE = "first_response"
    """Until our first reply."""
    NEXT_RESPONSE = "next_response"
    """From the oldest message of the partner that nobody answered, until we reply."""
    STATUS_UPDATE = "status_update"
    """The partner hears from us so often while the ticket is open."""
    RESOLUTION = "resolution"
    """Until the ticket is resolved or closed."""
    PARTNER_RESPONSE = "partner_response"
    """What the partner owes us: an answer while we wait for one."""


class Promises(Document):
    """Commitments on a ticket, by metric."""

    first_response: SpanField | None = None
    next_response: SpanField | None = None
    status_update: SpanField | None = None
    resolution: SpanField | None = None
    partner_response: SpanField | None = None


class OverrideWhen(Document):
    """Which tickets: all that is given must hold; one of a list is enough."""

    category: Name | tuple[Name, ...] = ()
    severity: Name | tuple[Name, ...] = ()


class Override(Promises):
    """Other commitments for some tickets. Per metric the first listed that speaks of it wins."""

    when: OverrideWhen
    without: Annotated[
        tuple[Metric, ...], Field(description="Metrics that such a ticket is not promised.")
    ] = ()


class Commitments(Promises):
    """What a partner tier was promised."""

    overrides: tuple[Override, ...] = ()
    touchpoints: tuple[Touchpoint, ...] = ()


class Reopening(StrEnum):
    """What becomes of the resolution clock when a settled ticket is opened again."""

    RESUME = "resume"
    """It goes on; the time in which the ticket was settled does not count."""
    NEW_CYCLE = "new_cycle"
    """It stays met or breached; another one starts with the whole budget."""
    RESTART = "restart"
    """It is cancelled unless it was breached; another one starts with the whole budget."""


class Shift(StrEnum):
    """Where a touchpoint goes whose last day is no working day."""

    BEFORE = "before"
    """Due by the end of the last working day before."""
    AFTER = "after"
    """Due by the end of the next working day."""
    NONE = "none"


class Clocks(Document):
    """How the clocks of commitments run, pause and warn."""

    status_update: Anchor = Anchor.ROLLING
    pause: Annotated[
        tuple[Metric, ...],
        Field(description="Metrics that pause while a ticket waits on the partner."),
    ] = (Metric.STATUS_UPDATE, Metric.RESOLUTION)
    pause_at_most: Annotated[
        SpanField | None, Field(description="All pauses of one clock together; then it runs again.")
    ] = None
    stale_pause_after: Annotated[
        SpanField | None, Field(description="A pause that lasts so long is warned about.")
    ] = None
    reopening: Reopening = Reopening.RESUME
    warn: Annotated[
        tuple[LeadField, ...],
        Field(description="When to warn: so long before something is due, or at so much spent."),
    ] = ()
    tell_breaches_within: Annotated[
        ElapsedField,
        Field(description="A breach without a case is told, unless it is longer ago; 0h: never."),
    ] = parse_span("7d")
    touchpoint_shift: Shift = Shift.BEFORE
    closure_list_at: Annotated[
        ClockField | None,
        Field(description="When each owner gets the list before a closure; without it, never."),
    ] = None
    due_soon_after_closure: Annotated[
        SpanField, Field(description="The list before a weekend or holiday names what is due then.")
    ] = parse_span("4bh")


Hours = dict[str, tuple[IntervalField, ...]]
"""Weekday or range of weekdays (`mon-fri`) to intervals of local time."""


class CalendarDocument(Document):
    """Business hours in a time zone, with holidays and dated exceptions."""

    timezone: str
    hours: Hours
    holidays: Annotated[
        str | tuple[str, ...],
        Field(description="Country or region as the holidays package names it: DE, DE-BE, US-CA."),
    ] = ()
    extra_holidays: tuple[date, ...] = ()
    overrides: Annotated[
        dict[date, tuple[IntervalField, ...]],
        Field(description="Dated hours that replace the week's, e.g. a half day; [] is closed."),
    ] = {}


class About(StrEnum):
    """What a source can speak of, and so which silence it must be heard on first."""

    ORDERS = "orders"
    TICKETS = "tickets"


class Source(Document):
    """What is known of a feed: how often it speaks, and how late it may report."""

    cadence: ElapsedField | None = None
    reporting_lag: ElapsedField = Span("0h", parse_span("0h").unit, 0)
    about: tuple[About, ...] = (About.ORDERS, About.TICKETS)


class ImpactMeasure(StrEnum):
    """What an order's impact is a share of."""

    UNITS = "units"
    VALUE = "value"
    LINES = "lines"


class ExceptionChannel(Document):
    """Where urgent things start, whatever the rules say. They ignore quiet hours."""

    urgent_tickets: Name = "management"
    disruptions: Annotated[
        dict[str, Name] | Name,
        Field(description="A tier, or a tier per severity with `default` for the others."),
    ] = "management"


class Bundling(Document):
    """Many cases for one person inside a window become one message that lists them."""

    window: ElapsedField = parse_span("2min")
    more_than: Annotated[int, Field(ge=1)] = 3
    """So many alerts still go out one by one."""


class Shadow(Document):
    """Who hears "would have told NAME", and what is in shadow besides rules and tiers."""

    redirect: Name = OPERATIONS
    partners: tuple[Name, ...] = ()


class Summary(Document):
    """When account managers read what is on watch for their partners."""

    at: Annotated[
        ClockField,
        Field(description="Time of day, in each one's calendar, on the working days there."),
    ]


Percent = Annotated[
    Decimal,
    # YAML reads 99.9 as a binary fraction; the shortest text that means it is what was written.
    BeforeValidator(lambda value: str(value) if type(value) in (int, float) else value),
    Field(ge=0, le=100, examples=[95, "99.5"]),
]


class Weekday(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class DigestIssue(Document):
    """When the digest of the week before is issued and sent, and to whom."""

    day: Weekday = Weekday.MON
    at: ClockField = "07:00"
    to: Annotated[
        tuple[Name, ...], Field(min_length=1, description="Roles, or `person:` and a name.")
    ]


class ScorecardIssue(Document):
    """When the scorecards of the month before are issued and sent, and to whom."""

    day: Annotated[int, Field(ge=1, le=28, description="Of the month.")] = 2
    at: ClockField = "07:00"
    to: Annotated[
        tuple[Name, ...],
        Field(min_length=1, description="Roles, filled for each partner, or `person:` and a name."),
    ] = ("account_manager",)


#: What targets can be set for besides the commitments: how orders were delivered.
DELIVERY_METRICS = ("otif", "on_time", "in_full", "accuracy")


class Reporting(Document):
    """What leadership and account managers read, when, and what it is measured against."""

    timezone: Annotated[
        str | None, Field(description="Of weeks and months; without it, the default calendar's.")
    ] = None
    targets: Annotated[
        dict[Name, dict[Name, Percent]],
        Field(
            description="Percent to reach: partner tier, or `default`, to metric, or `default`. "
            "Besides the commitments: otif, on_time, in_full, accuracy."
        ),
    ] = {}
    name_people: Annotated[
        bool, Field(description="Whether reports name people, not only roles.")
    ] = False
    delivery_tolerance: Annotated[
        SpanField, Field(description="How late a delivery may be and still be within tolerance.")
    ] = parse_span("1d")
    quantity_tolerance: Annotated[
        Percent, Field(description="How much of an order may be missing within tolerance.")
    ] = Decimal(0)
    shared_metrics: Annotated[
        tuple[Name, ...],
        Field(
            description="Figures of metric.reported that a partner may see in its scorecard; the "
            "others are for the house alone."
        ),
    ] = ()
    digest: Annotated[DigestIssue | None, Field(description="Without it none is sent.")] = None
    scorecard: Annotated[ScorecardIssue | None, Field(description="Without it none is sent.")] = (
        None
    )


class Patience(Document):
    """How long Detente waits for input, and how far ahead of now it believes a time stamp."""

    future_tolerance: ElapsedField = parse_span("5min")
    grace_after_gap: ElapsedField = parse_span("5min")
    held_alarm_after: ElapsedField = parse_span("15min")


class Policy(Document):
    """One version of the rules of the house."""

    tiers: Annotated[tuple[Name, ...], Field(min_length=1)] = (
        "frontline",
        "management",
        "executive",
    )
    roles: tuple[Name, ...] = ()
    partner_tiers: Annotated[
        tuple[Name, ...], Field(description="Best first; without it, the keys of commitments.")
    ] = ()
    default_partner_tier: Name | None = None
    mode: Mode = Mode.LIVE
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    ladders: Annotated[
        dict[str, dict[str, LadderTier]],
        Field(min_length=1, description="Per partner tier, or `default`: tier to ladder step."),
    ]
    commitments: dict[str, Commitments] = {}
    clocks: Clocks = Clocks()
    calendars: Annotated[dict[str, CalendarDocument], Field(min_length=1)]
    sources: dict[str, Source] = {}
    impact_measure: ImpactMeasure = ImpactMeasure.UNITS
    exceptions: ExceptionChannel = ExceptionChannel()
    bundling: Bundling = Bundling()
    shadow: Shadow = Shadow()
    summary: Annotated[
        Summary | None, Field(description="Without it nobody gets a summary of what is on watch.")
    ] = None
    reporting: Reporting = Reporting()
    patience: Patience = Patience()
