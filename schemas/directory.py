"""The directory: partners, people, stand-ins and routes, as one YAML document."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.events import Moment
from schemas.fields import Document, IntervalField, Name
from schemas.time import FIRST_YEAR, LAST_YEAR

CalendarDate = Annotated[date, Field(ge=date(FIRST_YEAR, 1, 1), le=date(LAST_YEAR, 12, 31))]
"""A day. Lenient, since people put dates into quotes."""


class TerminalRoute(Document):
    """Messages appear where Detente runs."""

    kind: Literal["terminal"]


class WebhookRoute(Document):
    """Messages are POSTed as JSON, signed with HMAC-SHA256."""

    kind: Literal["webhook"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    secret_env: Annotated[
        str,
        Field(pattern=r"^[A-Z_][A-Z0-9_]*$", description="Environment variable with the secret."),
    ]


class SlackRoute(Document):
    """Messages go to a channel or, as direct messages, to one Slack user."""

    kind: Literal["slack"]
    channel: Annotated[
        str | None,
        Field(pattern=r"^[CGD][A-Z0-9]{2,20}$", description="Id of a channel, such as C024BE91L."),
    ] = None
    user: Annotated[
        str | None,
        Field(pattern=r"^[UW][A-Z0-9]{2,20}$", description="Member id of a user, e.g. U061F7AUR."),
    ] = None
    team: Annotated[
        str | None,
        Field(pattern=r"^[TE][A-Z0-9]{2,20}$", description="Id of the workspace, e.g. T012AB3C4."),
    ] = None
    token_env: Annotated[
        str,
        Field(
            pattern=r"^[A-Z_][A-Z0-9_]*$",
            description="Environment variable with the bot token (xoxb-...) of the workspace.",
        ),
    ] = "SLACK_BOT_TOKEN"  # noqa: S105 - the name of a variable, not what it holds

    @model_validator(mode="after")
    def _leads_to_one_place(self) -> Self:
        if (self.channel is None) == (self.user is None):
            raise ValueError("a slack route names either a channel or a user")
        return self


Route = Annotated[TerminalRoute | WebhookRoute | SlackRoute, Field(discriminator="kind")]


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
