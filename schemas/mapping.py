"""The mapping document: how the rows of a CSV or XLSX table become CloudEvents.

``columns`` says how a cell is read (date formats, time zone, words that mean "nothing", number
marks); ``events`` says what the cells mean. A field of an event is written as

- a string: a template, ``"{Vendor}"`` or ``"{ASN/DN #}-{ID}"``; without braces it is a constant
  (``{{`` and ``}}`` are literal braces); a template with an empty cell is empty;
- a bare number or true/false, or ``{constant: X}``: a constant;
- ``{column: C, values: {cell: value}, otherwise: reject | value | null}``: a value map; null leaves
  the field out;
- ``{number: C}``: a decimal;
- ``{time: C}``, ``{earliest_of: C}``, ``{latest_of: C}`` with ``minus`` or ``plus`` (``1d``,
  ``36h``): a date or an instant, the latter two over all rows of the group;
- ``{rows: {field: ...}}``: a list with one object for each row;
- a list of these: the first that is not empty.

An empty field is left out of the event.
"""

import codecs
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, model_validator
from pydantic import Field as Described

from schemas.events import CATALOGUE
from schemas.fields import Document, ElapsedField

Scalar = str | bool | Annotated[int, Described(ge=-(2**53), le=2**53)]
"""What a constant or a value map may give; fractions are written as text."""

_REFERENCE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|([{}])")
_SAMPLE = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
_MOMENTS = ("time", "earliest_of", "latest_of")
_KINDS = ("template", "constant", "column", "number", *_MOMENTS, "rows", "first_of")


def split_template(template: str) -> tuple[tuple[str, bool], ...]:
    """Cut a template into pieces ``(text, is_column)``.

    Raises ValueError for a brace that is neither doubled nor part of ``{Column}``.
    """
    pieces: list[tuple[str, bool]] = []
    end = 0
    for match in _REFERENCE.finditer(template):
        column, lone = match.groups()
        if lone or column == "":
            raise ValueError(
                f"template {template!r}: write {{Column name}}, or {{{{ and }}}} for literal braces"
            )
        pieces.append((template[end : match.start()], False))
        pieces.append((column.strip(), True) if column else (match.group()[0], False))
        end = match.end()
    pieces.append((template[end:], False))
    return tuple(piece for piece in pieces if piece[0])


def format_has_clock(date_format: str) -> bool:
    """Whether a strptime format carries a time of day; without one it is a calendar date."""
    return _round_trip(date_format).hour == _SAMPLE.hour


def _round_trip(date_format: str) -> datetime:
    text = _SAMPLE.strftime(date_format)
    return datetime.strptime(text, date_format)  # noqa: DTZ007 - only its fields are looked at


def _check_date_format(value: str) -> str:
    try:
        whole = _round_trip(value).date() == _SAMPLE.date()
    except ValueError:
        whole = False
    if not whole or "%Z" in value:
        raise ValueError(
            f"{value!r} is no date format; it needs year, month and day in strptime codes, "
            "for example %d.%m.%Y or %Y-%m-%d %H:%M (%z for an offset; %Z is not accepted)"
        )
    return value


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, malformed as a path, a folder of zones
        raise ValueError(
            f"{value!r} is no time zone; write an IANA name such as Europe/Berlin or UTC"
        ) from None
    return value


def _check_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
        "".encode(value)  # a codec such as base64 exists, and is no text encoding
    except LookupError:
        raise ValueError(
            f"{value!r} is no text encoding; write for example utf-8, cp1252 or utf-16"
        ) from None
    return value


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, which one was perhaps meant, and which ones there are."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else "."
    return f"{what} {name!r} is unknown{meant} There are: {', '.join(names)}"


def _payload(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as ``tuple[OrderLine, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_payload, get_args(annotation))), None)


def _check_names(place: str, annotation: Any, fields: dict[str, "Field"]) -> None:
    model = _payload(annotation)
    if model is None:
        raise ValueError(f"{place} is no list of objects, so rows does not fit")
    for name, field in fields.items():
        if name not in model.model_fields:
            raise ValueError(unknown_name(f"{place}: field", name, model.model_fields))
        for part in (field, *(field.first_of or ())):
            if part.rows is not None:
                inner = model.model_fields[name].annotation
                _check_names(f"{place}: {name}", inner, part.rows)
    for name, info in model.model_fields.items():
        if info.is_required() and name not in fields:
            raise ValueError(f"{place}: field {name!r} is required")


def _text_keys(value: Any) -> Any:
    """YAML reads 1 as a number and Yes as true; cells are text, so keys have to be text again."""
    if not isinstance(value, dict):
        return value
    if any(isinstance(key, bool) or key is None for key in value):
        raise ValueError('put quotes around keys that YAML takes for true, false or null: "Yes": …')
    return {str(key): item for key, item in value.items()}


def _one_as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Zone = Annotated[str, AfterValidator(_check_zone)]
DateFormat = Annotated[str, AfterValidator(_check_date_format)]
CellText = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v)]
"""Text to compare with a cell; YAML reads an unquoted 1 as a number."""
Texts = Annotated[tuple[CellText, ...], BeforeValidator(_one_as_list)]
Mark = Annotated[str, Described(min_length=1, max_length=1)]


class ColumnFormat(Document):
    """How the cells of one column are read."""

    dates: Annotated[tuple[DateFormat, ...], BeforeValidator(_one_as_list)] = ()
    """strptime formats, tried in this order; none: ISO 8601, or a real date cell."""
    timezone: Zone | None = None
    """Zone of times without an offset. A date becomes an instant by it: the end of that day."""
    empty: Texts = ()
    """Words that mean the same as an empty cell, such as "N/A"."""
    decimal_mark: Mark | None = None
    thousands_mark: Mark | None = None


class Field(Document):
    """Where the value of one field of an event comes from; see the head of this file."""

    template: str | None = None
    constant: Scalar | None = None
    column: str | None = None
    values: Annotated[dict[str, Scalar | None], BeforeValidator(_text_keys)] | None = None
    otherwise: Scalar | None = "reject"
    number: str | None = None
    time: str | None = None
    earliest_of: str | None = None
    latest_of: str | None = None
    minus: ElapsedField | None = None
    plus: ElapsedField | None = None
    rows: dict[str, "Field"] | None = None
    first_of: tuple["Field", ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"template": value}
        if isinstance(value, list | tuple):
            return {"first_of": value}
        if isinstance(value, date):  # YAML has read an unquoted 2026-11-01
            return {"constant": value.isoformat()}
        return {"constant": value} if isinstance(value, bool | int) else value

    @model_validator(mode="after")
    def _one_kind(self) -> "Field":
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a field is exactly one of {', '.join(_KINDS)}; found {', '.join(given) or 'none'}"
            )
        if (self.minus or self.plus) and not self.moment_column:
            raise ValueError("minus and plus go with time, earliest_of or latest_of")
        if self.values is not None and self.column is None:
            raise ValueError("values goes with column")
        if "otherwise" in self.model_fields_set and self.values is None:
            raise ValueError("otherwise goes with values")
        if self.template is not None:
            split_template(self.template)
        if self.first_of == () or self.rows == {}:
            raise ValueError("the list of alternatives or of fields is empty")
        return self

    @property
    def moment_column(self) -> str | None:
        """The column that is read as a date or an instant, if this field is one."""
        return self.time or self.earliest_of or self.latest_of

    @property
    def shift(self) -> timedelta:
        """What ``plus`` and ``minus`` add to the moment."""
        added = self.plus.amount if self.plus else 0
        return timedelta(microseconds=added - (self.minus.amount if self.minus else 0))

    def parts(self) -> tuple["Field", ...]:
        """This field and all fields inside it."""
        inner = (*(self.rows or {}).values(), *(self.first_of or ()))
        return (self, *(part for field in inner for part in field.parts()))

    def columns(self) -> tuple[str, ...]:
        """Every column that this field reads, those of inner fields included."""
        names: list[str] = []
        for part in self.parts():
            names += [name for name, is_column in split_template(part.template or "") if is_column]
            names += [n for n in (part.column, part.number, part.moment_column) if n is not None]
        return tuple(names)


class RowTest(Document):
    """A test on the text of one cell; an event of a group asks it of every row."""

    column: str
    filled: bool | None = None
    equals: CellText | None = None
    one_of: Annotated[tuple[CellText, ...] | None, Described(alias="in")] = None
    none_of: Annotated[tuple[CellText, ...] | None, Described(alias="not_in")] = None

    @model_validator(mode="after")
    def _one_test(self) -> "RowTest":
        tests = (self.filled, self.equals, self.one_of, self.none_of)
        if sum(test is not None for test in tests) != 1:
            raise ValueError("a test is exactly one of filled, equals, in, not_in")
        return self


class MappedEvent(Document):
    """One event that a row, or a group of rows, gives."""

    type: str = Described(min_length=1)
    per: Literal["row", "first", "last", "group"] = "row"
    """From each row, the first or last row of each group (as the file has them), or each group;
    a cell that an event of a group reads must be the same in all its rows."""
    id: str = Described(min_length=1)
    """Template; the same row must give the same id whenever it is imported, no other row may."""
    time: Field
    when: tuple[RowTest, ...] = ()
    """All tests must hold, otherwise the row or group does not give this event."""
    data: dict[str, Field]

    @model_validator(mode="after")
    def _sound(self) -> "MappedEvent":
        if not any(is_column for _, is_column in split_template(self.id)):
            raise ValueError(f"id {self.id!r} names no column, so every event would have this id")
        if any(field.moment_column is None for field in self.time.first_of or (self.time,)):
            raise ValueError(f"time is one of {', '.join(_MOMENTS)}, or a list of these")
        if self.type not in CATALOGUE:
            raise ValueError(unknown_name("event type", self.type, CATALOGUE))
        _check_names(self.type, CATALOGUE[self.type].model_fields["data"].annotation, self.data)
        return self

    def fields(self) -> tuple[Field, ...]:
        """All fields, ``time`` and inner ones included."""
        return tuple(part for field in (self.time, *self.data.values()) for part in field.parts())

    def columns(self) -> tuple[str, ...]:
        """Every column that this event reads."""
        fields = (Field(template=self.id), self.time, *self.data.values())
        named = tuple(name for field in fields for name in field.columns())
        return named + tuple(test.column for test in self.when)


class Mapping(Document):
    """A whole mapping document."""

    source: str = Described(min_length=1)
    """CloudEvents ``source`` of all events, such as /erp."""
    format: Literal["csv", "xlsx"] | None = None
    """Without it the file's extension decides."""
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8-sig"
    delimiter: Mark = ","
    quote: Mark | None = '"'
    decimal_mark: Mark = "."
    thousands_mark: Mark | None = None
    sheet: str | None = None
    """Name of the sheet; without it the first."""
    header_row: int = Described(default=1, ge=1)
    """Row with the column names, the first row being 1; rows above it are not read."""
    timezone: Zone | None = None
    """Zone of times without an offset where the column gives none, and of a date that is an event's
    ``time``. Other dates stay dates: their partner's zone decides."""
    columns: dict[str, ColumnFormat] = Described(default_factory=dict)
    group_by: Texts = ()
    """Columns whose values together name one group, such as an order; rows may lie apart."""
    events: tuple[MappedEvent, ...] = Described(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> "Mapping":
        ids = [event.id for event in self.events]
        if twice := next((name for name in ids if ids.count(name) > 1), None):
            raise ValueError(f"two events have the id {twice!r}; put their kind into it")
        for event in self.events:
            reads_group = any(f.earliest_of or f.latest_of for f in event.fields())
            if not self.group_by and (reads_group or event.per != "row"):
                raise ValueError(
                    f"{event.type}: per: first, last or group, earliest_of and latest_of need "
                    "group_by"
                )
            for field in event.fields():
                self._check_moment(event, field)
        for name in self.all_columns():
            self.marks(name)
        return self

    def _check_moment(self, event: MappedEvent, field: Field) -> None:
        name = field.moment_column
        if name is None:
            return
        is_time = any(field is part for part in event.time.parts())
        formats = self.columns.get(name, ColumnFormat())
        for date_format in formats.dates:
            clock = format_has_clock(date_format)
            if "%z" in date_format or formats.timezone or not (clock or is_time):
                continue
            if self.timezone is None:
                raise ValueError(
                    f"{event.type}: column {name!r} with {date_format!r} gives no instant without "
                    "a timezone; set it for the column or the table"
                )

    def marks(self, column: str) -> tuple[str, str | None]:
        """Decimal and thousands mark of a column; ValueError if they are the same."""
        formats = self.columns.get(column, ColumnFormat())
        decimal = formats.decimal_mark or self.decimal_mark
        thousands = formats.thousands_mark or self.thousands_mark
        if decimal == thousands:
            raise ValueError(f"{column}: decimal_mark and thousands_mark are both {decimal!r}")
        return decimal, thousands

    def all_columns(self) -> tuple[str, ...]:
        """Every column that the mapping names, each once."""
        named = [*self.group_by, *self.columns]
        for event in self.events:
            named += event.columns()
        return tuple(dict.fromkeys(named))
