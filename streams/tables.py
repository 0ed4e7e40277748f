"""Rows of a table become CloudEvents, as a mapping document says.

Rows of one order may lie anywhere in the table, so they are brought together on disk first: a table
of any length takes the memory of its largest group.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from schemas.events import Malformed, UnknownType, parse_event, unknown_fields
from schemas.mapping import (
    ColumnFormat,
    Field,
    MappedEvent,
    Mapping,
    RowTest,
    format_has_clock,
    split_template,
    unknown_name,
)
from schemas.time import end_of_day, iso, to_datetime, to_instant
from streams.records import KEPT_BYTES, InputError, RawRecord, Record, RejectedRecord
from streams.rows import Cell, Row, Table, open_table
from streams.sorting import MEMORY, Keyed, sort_keyed

Unmapped = Counter[tuple[str, str]]
"""How often a cell of a column had a text that the mapping does not cover, by (column, text)."""

MAX_GROUP = 50_000
"""Rows of one group; more means that group_by names the wrong column."""

_MAX_UNMAPPED = 10_000  # distinct texts counted; a column of free text must not fill the memory
_MAX_IDS = 200_000  # ids that a preview compares
_SPACES = "\u00a0\u202f\u2009'"  # written for a space, or for an apostrophe, as thousands mark

Rows = Sequence[Row]
Evaluate = Callable[[Rows, Rows], Any]
"""Value of a field, or None, from the rows that an event is about and all rows of their group."""


class _UnusableCellError(Exception):
    """A cell does not hold what the mapping needs; the message says which, and what would."""

    def __init__(self, message: str, row: Row | None = None) -> None:
        super().__init__(message)
        self._row = row

    def reason(self, rows: Rows) -> str:
        """The message, with the row unless it is the only one that the reader is shown."""
        row = self._row
        return f"row {row.number}: {self}" if row and [*rows] != [row] else str(self)


def read_table(
    path: str,
    mapping: Mapping,
    *,
    unmapped: Unmapped | None = None,
    directory: Path | None = None,
    memory: int = MEMORY,
) -> Iterator[Record]:
    """Yield the events of a table, each group's together, and the rows that give none with reasons.

    ``unmapped`` is filled on the way. Raises InputError when the file cannot be read or lacks a
    column that the mapping names. ``directory`` and ``memory`` are those of the sorter.
    """
    table = open_table(path, mapping)
    plan = _Plan(path, table, mapping, Counter() if unmapped is None else unmapped)
    for group in plan.groups(directory, memory):
        yield from plan.records(group)


class _Plan:
    """A mapping bound to the header of one table."""

    def __init__(self, path: str, table: Table, mapping: Mapping, unmapped: Unmapped) -> None:
        self._path = path
        self._table = table
        self._mapping = mapping
        self._unmapped = unmapped
        self._slots = _slots(path, table, mapping)
        self._events = [(event, self._compile_event(event)) for event in mapping.events]

    # --- rows and groups ---------------------------------------------------------------------

    def groups(self, directory: Path | None, memory: int) -> Iterator[list[Row]]:
        if not self._mapping.group_by:
            for row in self._table.rows:
                yield [row]
            return
        names = self._mapping.group_by
        keys = [self._column_text(name) for name in names]

        def keyed() -> Iterator[Keyed]:
            for row in self._table.rows:
                try:
                    parts = [read(row) for read in keys]
                except _UnusableCellError:
                    parts = [None]
                # A row that belongs to no group stands alone, before all groups.
                fault = row.fault
                if None in parts:
                    key = b""
                    fault = fault or f"group_by column {' or '.join(map(repr, names))} is empty"
                else:
                    text = "\0".join(part or "" for part in parts).encode("utf-8", "surrogatepass")
                    key = len(text).to_bytes(4, "big") + text  # no key is the beginning of another
                yield (
                    key + row.number.to_bytes(8, "big"),
                    (
                        row.number,
                        row.original,
                        row.cells,
                        fault,
                    ),
                )

        rows = sort_keyed(keyed(), directory, memory)
        for key, members in groupby(rows, key=lambda item: item[0][:-8]):
            if not key:
                for _, payload in members:
                    yield [Row(*payload)]
                continue
            group = [Row(*payload) for _, payload in islice(members, MAX_GROUP + 1)]
            if len(group) > MAX_GROUP:
                shown = key[4:].decode(errors="replace").replace("\0", ", ")
                raise InputError(
                    f"{self._path}: more than {MAX_GROUP} rows belong to {shown!r}; "
                    f"does group_by {list(names)} name one order?"
                )
            yield group

    def records(self, group: list[Row]) -> Iterator[Record]:
        """The events of one group; one rejection for each reason and place."""
        rejected: dict[tuple[int, int, str], tuple[Rows, list[str]]] = {}
        for row in group:
            if row.fault:
                rejected[row.number, 1, row.fault] = ([row], [])
        for event, build in self._events:
            for rows in _units(event, group):
                faulty = next((row for row in rows if row.fault), None)
                if faulty and len(rows) == 1:
                    continue  # rejected above already
                try:
                    if faulty:
                        raise _UnusableCellError(faulty.fault or "", faulty)
                    value = build(rows, group)
                except _UnusableCellError as unusable:
                    place = (rows[0].number, len(rows), unusable.reason(rows))
                    rejected.setdefault(place, (rows, []))[1].append(event.type)
                else:
                    if value is not None:
                        yield RawRecord(self._path, self._position(rows), value)
        for (_, _, reason), (rows, types) in rejected.items():
            original = b"".join(row.original for row in rows)[:KEPT_BYTES]
            told = f"{', '.join(types)}: {reason}" if types else reason
            yield RejectedRecord(self._path, self._position(rows), original, told)

    def _position(self, rows: Rows) -> str:
        numbers = [row.number for row in rows]
        if len(numbers) == 1:
            shown = f"row {numbers[0]}"
        elif numbers[-1] - numbers[0] == len(numbers) - 1:
            shown = f"rows {numbers[0]}-{numbers[-1]}"
        else:
            shown = f"rows {', '.join(map(str, numbers[:5]))}"
            shown += f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
        return shown + self._table.place

    # --- compiling ---------------------------------------------------------------------------

    def _compile_event(self, event: MappedEvent) -> Callable[[Rows, Rows], bytes | None]:
        tests = [self._compile_test(test) for test in event.when]
        name = self._compile_field(Field(template=event.id))
        time = self._compile_field(event.time, is_time=True)
        data = [(key, self._compile_field(source)) for key, source in event.data.items()]

        def build(rows: Rows, group: Rows) -> bytes | None:
            if not all(test(row) for test in tests for row in rows):
                return None
            event_id, moment = name(rows, group), time(rows, group)
            if event_id is None:
                raise _UnusableCellError(f"id {event.id!r} needs a cell that is empty")
            if moment is None:
                columns = " and ".join(repr(c) for c in dict.fromkeys(event.time.columns()))
                raise _UnusableCellError(f"time: {columns} is empty, and the event needs a time")
            found = ((key, evaluate(rows, group)) for key, evaluate in data)
            envelope = {
                "specversion": "1.0",
                "id": event_id,
                "source": self._mapping.source,
                "type": event.type,
                "time": moment,
                "data": {key: value for key, value in found if value is not None},
            }
            return msgspec.json.encode(envelope)

        return build

    def _compile_test(self, test: RowTest) -> Callable[[Row], bool]:
        read = self._column_text(test.column)
        if test.filled is not None:
            return lambda row: (read(row) is not None) == test.filled
        if test.equals is not None:
            return lambda row: read(row) == test.equals
        if test.one_of is not None:
            return lambda row: read(row) in (test.one_of or ())
        return lambda row: read(row) not in (test.none_of or ())

    def _compile_field(self, source: Field, *, is_time: bool = False) -> Evaluate:
        if source.first_of is not None:
            choices = [self._compile_field(choice, is_time=is_time) for choice in source.first_of]
            return lambda rows, group: next(
                (v for choice in choices if (v := choice(rows, group)) is not None), None
            )
        if source.rows is not None:
            items = [(key, self._compile_field(item)) for key, item in source.rows.items()]
            return lambda rows, group: [
                {k: v for k, item in items if (v := item((row,), group)) is not None}
                for row in rows
            ]
        if source.moment_column is not None:
            return self._compile_moment(source, source.moment_column, is_time)
        if source.number is not None:
            number = self._column_number(source.number)
            return lambda rows, _: _same(rows, number, source.number)
        if source.template is not None:
            return self._compile_template(source.template)
        if source.column is not None:
            value = self._column_value(source.column, source)
            return lambda rows, _: _same(rows, value, source.column)
        return lambda _rows, _group: source.constant

    def _compile_template(self, template: str) -> Evaluate:
        pieces = [
            (text, self._column_text(text) if is_column else None)
            for text, is_column in split_template(template)
        ]
        if all(read is None for _, read in pieces):
            constant = "".join(text for text, _ in pieces)
            return lambda _rows, _group: constant or None

        def fill(row: Row) -> str | None:
            parts = [text if read is None else read(row) for text, read in pieces]
            return None if None in parts else "".join(part or "" for part in parts)

        return lambda rows, _: _same(rows, fill, template)

    def _compile_moment(self, source: Field, column: str, is_time: bool) -> Evaluate:
        read = self._column_moment(column, dates_become_instants=is_time)
        pick = min if source.earliest_of else max if source.latest_of else None
        shift = source.shift

        def moment(rows: Rows, group: Rows) -> str | None:
            if pick is None:
                found = _same(rows, read, column)
            else:
                all_found = [at for row in group if (at := read(row)) is not None]
                if len({type(at) for at in all_found}) > 1:
                    raise _UnusableCellError(
                        f"column {column!r} holds dates and times; give it a timezone"
                    )
                found = pick(all_found, default=None)
            if found is None:
                return None
            try:
                found += shift
            except OverflowError:
                raise _UnusableCellError(f"column {column!r}: {found} is out of range") from None
            return iso(to_instant(found)) if isinstance(found, datetime) else found.isoformat()

        return moment

    # --- reading cells -----------------------------------------------------------------------

    def _note(self, column: str, text: str) -> None:
        if (column, text) in self._unmapped or len(self._unmapped) < _MAX_UNMAPPED:
            self._unmapped[column, text] += 1

    def _column_cell(self, column: str) -> Callable[[Row], Cell | None]:
        slot = self._slots[column]
        empty = {"", *self._formats(column).empty}

        def read(row: Row) -> Cell | None:
            cell = row.cells[slot]
            if isinstance(cell, str):
                cell = cell.strip()
                return None if cell in empty else cell
            if cell[0] == "error" and cell[1] not in empty:
                self._note(column, cell[1])
                raise _UnusableCellError(
                    f"column {column!r} holds the sheet's error {cell[1]}", row
                )
            return None if cell[1] in empty else cell

        return read

    def _column_text(self, column: str) -> Callable[[Row], str | None]:
        read = self._column_cell(column)

        def text(row: Row) -> str | None:
            cell = read(row)
            return cell[1] if isinstance(cell, tuple) else cell

        return text

    def _column_value(self, column: str, source: Field) -> Callable[[Row], Any]:
        read = self._column_text(column)
        values = source.values
        if values is None:
            return read

        def value(row: Row) -> Any:
            text = read(row)
            if text is None:
                return None
            if text in values:
                return values[text]
            self._note(column, text)
            if source.otherwise == "reject":
                known = ", ".join(values)
                raise _UnusableCellError(
                    f"column {column!r} holds {text!r}, which its values do not have; "
                    f"there are: {known}",
                    row,
                )
            return source.otherwise

        return value

    def _column_number(self, column: str) -> Callable[[Row], str | None]:
        read = self._column_cell(column)
        parse = _number_parser(*self._mapping.marks(column))

        def number(row: Row) -> str | None:
            cell = read(row)
            if cell is None:
                return None
            if isinstance(cell, tuple) and cell[0] == "number":
                return format(Decimal(cell[1]), "f")
            text = _text(cell)
            found = parse(text)
            if found is None:
                self._note(column, text)
                decimal, thousands = self._mapping.marks(column)
                grouped = f" and {thousands!r} between thousands" if thousands else ""
                raise _UnusableCellError(
                    f"column {column!r} holds {text!r}, which is no number; "
                    f"the decimal mark is {decimal!r}{grouped}",
                    row,
                )
            return found

        return number

    def _column_moment(
        self, column: str, *, dates_become_instants: bool
    ) -> Callable[[Row], date | None]:
        read = self._column_cell(column)
        formats = self._formats(column)
        own = ZoneInfo(formats.timezone) if formats.timezone else None
        general = ZoneInfo(self._mapping.timezone) if self._mapping.timezone else None
        date_zone = own or (general if dates_become_instants else None)
        parse = _moment_parser(formats.dates, own or general, date_zone)

        def moment(row: Row) -> date | None:
            cell = read(row)
            if cell is None:
                return None
            text = _text(cell)
            found = parse(text, isinstance(cell, tuple) and cell[0] in ("date", "datetime"))
            if isinstance(found, str) or (
                dates_become_instants and not isinstance(found, datetime)
            ):
                self._note(column, text)
                why = found if isinstance(found, str) else "it is a date, and no timezone is given"
                raise _UnusableCellError(f"column {column!r} holds {text!r}: {why}", row)
            return found

        return moment

    def _formats(self, column: str) -> ColumnFormat:
        return self._mapping.columns.get(column, ColumnFormat())


def _slots(path: str, table: Table, mapping: Mapping) -> dict[str, int]:
    for name in mapping.all_columns():
        if (count := table.header.count(name)) != 1:
            found = (
                unknown_name("column", name, filter(None, table.header))
                if count == 0
                else f"column {name!r} is there {count} times; which one is meant?"
            )
            one = "; is the delimiter right?" if len(table.header) == 1 else ""
            raise InputError(f"{path}: row {mapping.header_row}{table.place}: {found}{one}")
    return {name: slot for slot, name in enumerate(table.header)}


def _units(event: MappedEvent, group: list[Row]) -> Iterator[Rows]:
    match event.per:
        case "row":
            for row in group:
                yield (row,)
        case "first":
            yield group[:1]
        case "last":
            yield group[-1:]
        case "group":
            yield group


def _same(rows: Rows, read: Callable[[Row], Any], what: str | None) -> Any:
    """The one value that the rows agree on; empty ones do not count."""
    if len(rows) == 1:
        return read(rows[0])
    first: Row | None = None
    value = None
    for row in rows:
        found = read(row)
        if found is None:
            continue
        if first is None:
            first, value = row, found
        elif found != value:
            raise _UnusableCellError(
                f"{what!r} differs within the group: {str(value)!r} in row {first.number}, "
                f"{str(found)!r} in row {row.number}"
            )
    return value


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[1]


def _number_parser(decimal: str, thousands: str | None) -> Callable[[str], str | None]:
    d = re.escape(decimal)
    t = re.escape(thousands) if thousands else None
    whole = rf"(?:\d{{1,3}}(?:{t}\d{{3}})+|\d+)" if t else r"\d+"  # 1.5 must not become 15
    pattern = re.compile(rf"[+-]?(?:{whole}(?:{d}\d*)?|{d}\d+)", re.ASCII)

    def parse(text: str) -> str | None:
        if thousands in (" ", "'"):
            for written in _SPACES if thousands == " " else "\u2019":
                text = text.replace(written, thousands)
        if not pattern.fullmatch(text):
            return None
        if thousands:
            text = text.replace(thousands, "")
        return format(Decimal(text.replace(decimal, ".")), "f")

    return parse


def _moment_parser(
    formats: tuple[str, ...], zone: ZoneInfo | None, date_zone: ZoneInfo | None
) -> Callable[[str, bool], date | str]:
    """A function from a cell's text to an aware datetime, a date, or what was expected."""
    clocks = [(name, format_has_clock(name)) for name in formats]

    def settle(found: datetime, has_clock: bool) -> date | str:
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        if has_clock:
            return found.replace(tzinfo=zone).astimezone(UTC) if zone else "it needs a timezone"
        day = found.date()
        return to_datetime(end_of_day(day, date_zone)) if date_zone else day

    @lru_cache(maxsize=10_000)
    def parse(text: str, is_date_cell: bool) -> date | str:
        try:
            for name, has_clock in () if is_date_cell else clocks:
                try:
                    found = datetime.strptime(text, name)  # noqa: DTZ007 - settle() gives the zone
                except ValueError:
                    continue
                return settle(found, has_clock)
            if clocks and not is_date_cell:
                return f"expected a date like {' or '.join(formats)}"
            try:
                return settle(datetime.fromisoformat(text), len(text) > 10)
            except ValueError:
                return "expected a date like 2026-11-01 or 2026-11-01T10:00:00+01:00; set dates"
        except OverflowError:
            return "the date is out of range"

    return parse


# --- preview ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would take, before anything is taken."""

    first: tuple[RawRecord, ...]
    """The first events, as they would be taken in."""
    events: dict[str, int] = field(default_factory=dict)
    """How many there are of each type."""
    partners: dict[str, int] = field(default_factory=dict)
    """How many events each partner id has, the most first."""
    unmapped: dict[str, dict[str, int]] = field(default_factory=dict)
    """Texts that the mapping does not cover, by column, with how often they were met."""
    unknown_fields: dict[str, int] = field(default_factory=dict)
    """Fields that nobody knows and that would be ignored, such as `order.placed.colour`."""
    rejected: tuple[RejectedRecord, ...] = ()
    """The first rejections."""
    rejected_count: int = 0
    repeated_ids: tuple[str, ...] = ()
    """The first ids that several events have; only one of such events would be taken."""


def preview(
    records: Iterable[Record], *, unmapped: Unmapped | None = None, limit: int = 10
) -> Preview:
    """Read records to the end and say what they hold; ``unmapped`` is what read_table filled."""
    first: list[RawRecord] = []
    rejected: list[RejectedRecord] = []
    events: Counter[str] = Counter()
    partners: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    ids: set[int] = set()
    repeated: dict[str, None] = {}
    rejected_count = 0
    for record in records:
        if isinstance(record, RejectedRecord):
            refused = record
        elif isinstance(event := parse_event(record.value), Malformed | UnknownType):
            kept = record.value[:KEPT_BYTES]
            refused = RejectedRecord(record.input, record.position, kept, str(event))
        else:
            if len(first) < limit:
                first.append(record)
            events[event.type] += 1
            if partner := getattr(event.data, "partner_id", None):
                partners[partner] += 1
            unknown.update(f"{event.type}.{name}" for name in unknown_fields(event))
            if (mark := hash((event.source, event.id))) in ids:
                if len(repeated) < limit:
                    repeated[event.id] = None
            elif len(ids) < _MAX_IDS:
                ids.add(mark)
            continue
        rejected_count += 1
        if len(rejected) < limit:
            rejected.append(refused)
    columns: dict[str, dict[str, int]] = {}
    for (column, text), count in (unmapped or Counter()).most_common():
        columns.setdefault(column, {})[text] = count
    return Preview(
        tuple(first),
        dict(events.most_common()),
        dict(partners.most_common()),
        columns,
        dict(unknown.most_common()),
        tuple(rejected),
        rejected_count,
        tuple(repeated),
    )


def preview_table(path: str, mapping: Mapping, *, limit: int = 10) -> Preview:
    """Preview of a whole table; raises InputError as read_table does."""
    unmapped: Unmapped = Counter()
    return preview(read_table(path, mapping, unmapped=unmapped), unmapped=unmapped, limit=limit)
