"""Field types that the policy and the directory share."""

from datetime import time
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from schemas.units import SPAN_SYNTAX, Lead, Span, Unit, parse_lead, parse_span


class Document(BaseModel):
    """A part of a document that people write: a key that nobody knows is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


#: Text on one line, that can be shown and stored as it is.
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

Name = Annotated[
    str,
    # YAML reads a bare 4711 as a number; for a name that is what its author meant by it.
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    Field(min_length=1, max_length=200, pattern=PRINTABLE),
]


def _span(value: Any) -> Span:
    if isinstance(value, Span):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a length of time; write {SPAN_SYNTAX}")
    return parse_span(value)


def _elapsed(value: Any) -> Span:
    span = _span(value)
    if span.unit is not Unit.ELAPSED:
        raise ValueError(f"{span} depends on a calendar; here write min, h, d or w")
    return span


def _lead(value: Any) -> Lead:
    if isinstance(value, Lead):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no time to warn; write e.g. 1bh, 30min or 75%")
    return parse_lead(value)


_AS_TEXT = PlainSerializer(str, return_type=str)

SpanField = Annotated[
    Span,
    PlainValidator(_span),
    _AS_TEXT,
    WithJsonSchema({"type": "string", "examples": ["48h", "4bh", "3bd", "2w", "1mo"]}),
]
"""Any length of time: `48h`, `4bh`, `3bd`, `2w`, `1mo`."""

ElapsedField = Annotated[
    Span,
    PlainValidator(_elapsed),
    _AS_TEXT,
    WithJsonSchema({"type": "string", "examples": ["15min", "12h"]}),
]
"""A length of elapsed time, needing no calendar: `15min`, `12h`."""

LeadField = Annotated[
    Lead,
    PlainValidator(_lead),
    _AS_TEXT,
    WithJsonSchema({"type": "string", "examples": ["1bh", "30min", "75%"]}),
]
"""How early to warn: `1bh` before something is due, or when `75%` of its budget is spent."""


def parse_clock(text: str) -> int:
    """Minutes since local midnight of `HH:MM`; `24:00` is the end of the day."""
    if text == "24:00":
        return 24 * 60
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time of day; write HH:MM, e.g. 09:00") from None
    if clock.second or clock.microsecond or clock.tzinfo:
        raise ValueError(f"{text!r}: hours and minutes only, e.g. 09:00")
    return clock.hour * 60 + clock.minute


def parse_interval(text: Any) -> tuple[int, int]:
    """Minutes from and to of `09:00-17:00`; one that ends before it starts runs over midnight."""
    if not isinstance(text, str) or text.count("-") != 1:
        raise ValueError(f"{text!r} is not an interval; write e.g. 09:00-17:00")
    start, end = (parse_clock(part.strip()) for part in text.split("-"))
    if start == end:
        raise ValueError(f"{text!r} is empty; for the whole day write 00:00-24:00")
    return start, end


def _interval(value: Any) -> str:
    parse_interval(value)
    return str(value)


IntervalField = Annotated[
    str, BeforeValidator(_interval), Field(examples=["09:00-17:00", "22:00-06:00"])
]


def _clock(value: Any) -> str:
    if not isinstance(value, str):  # YAML reads a bare 10:30 as a number
        raise ValueError(f'{value!r} is not a time of day; write it in quotes, e.g. "10:30"')
    if parse_clock(value) == 24 * 60:
        raise ValueError(f"{value!r} is the end of a day; the last time of one is 23:59")
    return value


ClockField = Annotated[
    str,
    PlainValidator(_clock),
    WithJsonSchema({"type": "string", "examples": ["08:30"]}),
]
"""A time of day: `08:30`."""
