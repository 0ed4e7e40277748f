"""The directory: partners, people, stand-ins and routes, as one YAML document."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from schemas.events import Moment
from schemas.fields import Document, IntervalField, Name, SpanField
from schemas.time import FIRST_YEAR, LAST_YEAR

CalendarDate = Annotated[date, Field(ge=date(FIRST_YEAR, 1, 1), le=date(LAST_YEAR, 12, 31))]
"""A day. Lenient, since people put dates into quotes."""


@dataclass(frozen=True)
class _Form:
    """A text of one form. What is found instead is never repeated: it may be a secret."""

    pattern: str
    otherwise: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"pattern": f"^{self.pattern}$"}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(self.otherwise)
        return text


VariableName = Annotated[
    str,
    _Form(
        "[A-Z_][A-Z0-9_]*",
        "the name of an environment variable is expected, e.g. SLACK_BOT_TOKEN, not the secret",
    ),
]
ChannelId = Annotated[
    str, _Form("[CGD][A-Z0-9]{2,20}", "a channel's id is expected, e.g. C024BE91L, not its name")
]
UserId = Annotated[
    str, _Form("[UW][A-Z0-9]{2,20}", "a user's member id is expected, e.g. U061F7AUR, not a name")
]
TeamId = Annotated[
    str, _Form("[TE][A-Z0-9]{2,20}", "a workspace's id is expected, e.g. T012AB3C4, not its name")
]
EmailAddress = Annotated[
    str,
    _Form(
        # What a web page's field for e-mail takes (HTML Standard, 4.10.5.1.5), with a real domain.
        r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
        r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{0,61}[A-Za-z0-9]",
        "an e-mail address is expected, e.g. ada@example.com",
    ),
    Field(max_length=254),
]


class RouteDocument(Document):
    """What every route may say about when it is tried, and when the next one is.

    A route whose conditions do not hold is tried after those whose conditions do: a condition
    changes the order and silences nobody.
    """

    tiers: Annotated[
        tuple[Name, ...], Field(description="Tried first only for these escalation tiers.")
    ] = ()
    hours: Annotated[
        IntervalField | None,
        Field(description="Tried first only in these hours of local time, e.g. 18:00-08:00."),
    ] = None

    hand_over_after: Annotated[
        SpanField | None,
        Field(description="An alert that nobody acknowledged for so long takes the next route."),
    ] = None

    def bare(self) -> Self:
        """The route without its conditions: where it leads, whoever gives it and whenever."""
        if not self.tiers and self.hours is None and self.hand_over_after is None:
            return self
        return self.model_copy(update={"tiers": (), "hours": None, "hand_over_after": None})


class TerminalRoute(RouteDocument):
    """Messages appear where Detente runs."""

    kind: Literal["terminal"]


class WebhookRoute(RouteDocument):
    """Messages are POSTed as JSON, signed with HMAC-SHA256."""

    kind: Literal["webhook"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    secret_env: Annotated[VariableName, Field(description="Environment variable with the secret.")]


class SlackRoute(RouteDocument):
    """Messages go to a channel or, as direct messages, to one Slack user."""

    kind: Literal["slack"]
    channel: Annotated[
        ChannelId | None, Field(description="Id of a channel, such as C024BE91L.")
    ] = None
    user: Annotated[UserId | None, Field(description="Member id of a user, such as U061F7AUR.")] = (
        None
    )
    team: Annotated[TeamId | None, Field(description="Id of the workspace, such as T012AB3C4.")] = (
        None
    )
    token_env: Annotated[
        VariableName,
        Field(description="Environment variable with the bot token (xoxb-...) of the workspace."),
    ] = "SLACK_BOT_TOKEN"  # noqa: S105 - the name of a variable, not what it holds

    @model_validator(mode="after")
    def _leads_to_one_place(self) -> Self:
        if (self.channel is None) == (self.user is None):
            raise ValueError("a slack route names either a channel or a user")
        return self


class EmailRoute(RouteDocument):
    """Messages are mailed, over the server that the service's settings name."""

    kind: Literal["email"]
    address: EmailAddress


Route = Annotated[
    TerminalRoute | WebhookRoute | SlackRoute | EmailRoute, Field(discriminator="kind")
]


class Absence(Document):
    """From when until when somebody is away, and who stands in."""

    start: Annotated[Moment | CalendarDate, Field(alias="from")]
    until: Moment | CalendarDate
    stand_in: Name | None = None


class Person(Document):
    """Somebody who can be told."""

    name: Name
    calendar: Name = "default"
    routes: Annotated[tuple[Route, ...], Field(description="In the order to try them.")] = ()
    hand_over_after: Annotated[
        SpanField | None, Field(description="For those of their routes that do not say.")
    ] = None
    stand_in: Name | None = None
    absences: tuple[Absence, ...] = ()
    quiet_hours: Annotated[
        IntervalField | None,
        Field(description="Local time in which only urgent things arrive, e.g. 20:00-07:00."),
    ] = None
    bundle: Annotated[
        bool, Field(description="False: never fold several alerts into one message.")
    ] = True
    active: bool = True


class DatedTier(Document):
    """A partner tier from a day on."""

    tier: Name
    since: CalendarDate


class Partner(Document):
    """A partner whom we trade with."""

    name: Name | None = None
    tier: Annotated[
        Name | tuple[DatedTier, ...],
        Field(description="The partner tier, or its history with dates."),
    ]
    calendar: Name = "default"
    roles: Annotated[
        dict[str, Name | tuple[Name, ...]],
        Field(description="Role to the person, or the people, who fill it for this partner."),
    ] = {}


class Directory(Document):
    """Who is who."""

    people: dict[Name, Person] = {}
    partners: dict[Name, Partner] = {}
    roles: Annotated[
        dict[str, Name | tuple[Name, ...]],
        Field(description="Who fills a role for partners that do not say otherwise."),
    ] = {}
    hand_over_after: Annotated[
        SpanField | None,
        Field(description="For people who do not say. Without it only a failure hands over."),
    ] = None
