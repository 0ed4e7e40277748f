"""Rows of a CSV or XLSX table, as text with the place where each stands."""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePath
from typing import Any, Literal
from warnings import catch_warnings, simplefilter
from xml.etree.ElementTree import ParseError

import msgspec
import openpyxl
from openpyxl.styles.numbers import is_datetime
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.workbook import Workbook

from schemas.mapping import Mapping, unknown_name
from streams.files import MAX_LINE, STANDARD_INPUT, open_input
from streams.records import KEPT_BYTES, InputError

Cell = str | tuple[Literal["number", "date", "datetime", "error"], str]
"""The text of a cell; beside it the kind if a sheet's cell is typed."""

_MAX_PART = 64 * 1024 * 1024  # a workbook's part larger than this must not be packed tighter than
_MAX_RATIO = 200  # ... this; real sheets come to 10 to 50
_MAX_WORKBOOK = 2 * 1024 * 1024 * 1024
_DAMAGED = (  # what openpyxl lets through for a damaged workbook
    zipfile.BadZipFile,
    zlib.error,
    InvalidFileException,
    ParseError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row below the header."""

    number: int
    """As a spreadsheet counts: the first row of the table is 1."""
    original: bytes
    cells: list[Cell]
    """As many as the header has."""
    fault: str | None = None
    """Why the row cannot be used, if so; some of its cells may be right nevertheless."""


@dataclass(frozen=True, slots=True)
class Table:
    """An open table: the names of its columns, then its rows."""

    place: str
    """What follows a position: " (sheet Orders)", or nothing."""
    header: list[str]
    rows: Iterator[Row]
    """The file is closed when they have been read, or dropped."""


def open_table(path: str, mapping: Mapping) -> Table:
    """Open a table and read its header.

    Raises InputError, here or while the rows are read, for a file that cannot be read, has no
    header row, or no such sheet.
    """
    name = PurePath(path)
    extension = (PurePath(name.stem) if name.suffix.lower() == ".gz" else name).suffix.lower()
    kind = mapping.format or ("xlsx" if extension in (".xlsx", ".xlsm") else "csv")
    if kind == "xlsx":
        return _workbook(path, mapping)
    return _table(path, mapping, "", _csv_rows(path, mapping))


def _table(path: str, mapping: Mapping, place: str, rows: Iterator[Row]) -> Table:
    for row in rows:
        if row.number == mapping.header_row:
            if row.fault:
                raise InputError(f"{path}: header row {row.number}{place}: {row.fault}")
            header = [_text(cell).strip() for cell in row.cells]
            while header and not header[-1]:
                header.pop()
            if header:
                return Table(place, header, _fitted(rows, len(header)))
            break
    raise InputError(
        f"{path}: row {mapping.header_row}{place} should name the columns; it is empty"
    )


def _fitted(rows: Iterator[Row], width: int) -> Iterator[Row]:
    for row in rows:
        found = len(row.cells)
        if not any(row.cells) and not row.fault:
            continue
        fault = row.fault
        if found > width and any(row.cells[width:]):
            fault = fault or f"the row has {found} cells, the header {width}"
        cells = (row.cells + [""] * (width - found))[:width]
        yield Row(row.number, row.original, cells, fault)


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[1]


# --- CSV --------------------------------------------------------------------------------------


class _Lines:
    """Lines for the csv module that remember what it has taken for one row."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.taken: list[str] = []
        self.too_long = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE)
        if not line:
            raise StopIteration
        self.taken.append(line)
        while len(line) == MAX_LINE and not line.endswith(("\r", "\n")):
            self.too_long = True
            line = self._text.readline(MAX_LINE)
        return self.taken[-1]


def _csv_rows(path: str, mapping: Mapping) -> Iterator[Row]:
    with open_input(path) as stream:
        # newline="" leaves CR, LF and CRLF to csv: rows end at each, and quotes keep them
        text = io.TextIOWrapper(stream, mapping.encoding, errors="surrogateescape", newline="")
        try:
            yield from _split(text, mapping)
        except UnicodeError as error:  # utf-16 cannot carry stray bytes along, and stops here
            raise InputError(f"{path}: the text is not {mapping.encoding}: {error}") from None
        finally:
            text.detach()  # otherwise it closes standard input


def _split(text: io.TextIOWrapper, mapping: Mapping) -> Iterator[Row]:
    lines = _Lines(text)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if mapping.quote else csv.QUOTE_NONE
    reader = csv.reader(
        lines, delimiter=mapping.delimiter, quotechar=mapping.quote, quoting=quoting, strict=True
    )
    encoding = "utf-8" if mapping.encoding == "utf-8-sig" else mapping.encoding  # no mark each row
    number = width = 0
    while True:
        number += 1
        lines.taken, lines.too_long = [], False
        cells: list[Cell] = []
        fault = None
        try:
            cells = [*next(reader)]
        except StopIteration:
            return
        except csv.Error as error:  # the reader starts afresh with the next line
            fault = f"{error}; is a quote left open, or not doubled inside a cell?"
        whole = "".join(lines.taken)
        if lines.too_long:
            cells, fault = [], f"a line is longer than {MAX_LINE} characters"
        if not whole.isascii() and (found := _stray_byte(whole)):
            fault = f"byte {found} is not {encoding}; the mapping must name the file's encoding"
        if number <= mapping.header_row:
            width = len(cells)
        elif 0 < len(cells) < width:
            fault = fault or f"the row has {len(cells)} cells, the header {width}"
        yield Row(number, whole.encode(encoding, "surrogateescape")[:KEPT_BYTES], cells, fault)


def _stray_byte(text: str) -> str | None:
    return next((f"0x{ord(c) - 0xDC00:02x}" for c in text if "\ud800" <= c <= "\udfff"), None)


# --- XLSX -------------------------------------------------------------------------------------


def _workbook(path: str, mapping: Mapping) -> Table:
    if path == STANDARD_INPUT:
        raise InputError("a workbook cannot be read from standard input; give its path")
    with _workbook_faults(path):
        _refuse_bomb(path)
        with catch_warnings():
            simplefilter("ignore")  # about styles and extensions, which nobody asked for
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        names = [sheet.title for sheet in book.worksheets]
        if mapping.sheet is not None and mapping.sheet not in names:
            book.close()
            raise InputError(f"{path}: {unknown_name('sheet', mapping.sheet, names)}")
    title = mapping.sheet or names[0]
    return _table(path, mapping, f" (sheet {title})", _sheet_rows(path, book, title))


@contextmanager
def _workbook_faults(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise InputError(
            f"{path}: not a readable .xlsx workbook ({error}); a password-protected one or the old "
            ".xls format has to be saved as .xlsx or CSV first"
        ) from None


def _refuse_bomb(path: str) -> None:
    """Refuse a workbook that unpacks to far more than it is. zipfile enforces the sizes named."""
    with zipfile.ZipFile(Path(path)) as parts:
        for part in parts.infolist():
            if part.file_size > max(_MAX_PART, part.compress_size * _MAX_RATIO):
                raise InputError(
                    f"{path}: {part.filename} unpacks from {part.compress_size} to "
                    f"{part.file_size} bytes; a workbook does not, so it is not opened"
                )
        if (total := sum(part.file_size for part in parts.infolist())) > _MAX_WORKBOOK:
            raise InputError(
                f"{path}: unpacks to {total} bytes, the most is {_MAX_WORKBOOK}; save it as CSV"
            )


def _sheet_rows(path: str, book: Workbook, title: str) -> Iterator[Row]:
    try:
        with _workbook_faults(path):
            sheet: Any = book[title]  # a ReadOnlyWorksheet, whose stub has no cells
            sheet.reset_dimensions()  # writers get it wrong, and rows would be missing
            for number, cells in enumerate(sheet.iter_rows(), start=1):
                found = [_cell(cell.value, cell.data_type, cell.number_format) for cell in cells]
                original = msgspec.json.encode([_text(cell) for cell in found])
                yield Row(number, original[:KEPT_BYTES], found)
    finally:
        book.close()


def _cell(value: object, data_type: str, number_format: str) -> Cell:
    match value:
        case None:
            return ""
        case str():
            return ("error", value) if data_type == "e" else value
        case bool():
            return str(value).upper()
        case float():
            # 15 digits are what a spreadsheet keeps and shows: no 0.30000000000000004, no 17.0
            return ("number", format(value, ".15g"))
        case int():
            return ("number", str(value))
        case datetime():
            if is_datetime(number_format) == "date" and value.time() == datetime.min.time():
                return ("date", value.date().isoformat())
            return ("datetime", value.isoformat())
        case date():
            return ("date", value.isoformat())
        case _:
            return str(value)
