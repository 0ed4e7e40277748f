"""Documents that people write, read so that every mistake has a file, a line and a path.

`read_document` takes the text, never a file, and gives the model together with where everything
stands in the text: checks made elsewhere report through `Document.problem` in the same words.

YAML is read as `yaml.safe_load` reads it, with the traps taken out: a key that is given twice,
more than one document, aliases that contain themselves or expand without end.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

#: The largest document that is read, in bytes; tens of thousands of partners fit.
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
#: How many values a document may have once its aliases are written out.
MAX_VALUES = 1_000_000
#: How deeply mappings and lists may lie inside each other.
MAX_DEPTH = 40

Path: TypeAlias = tuple[str | int, ...]
"""Where in a document: keys and list positions from the top, e.g. `("rules", 2, "when")`."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """One thing wrong with a document."""

    file: str
    line: int
    """Counted from 1."""
    path: str
    """`rules[2].when.impact`; empty for the document as a whole."""
    message: str
    """What was found there, and what is accepted."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path + ': ' if self.path else ''}{self.message}"


class DocumentError(Exception):
    """A document that cannot be used. `str` gives one line for each problem."""

    def __init__(self, problems: Iterable[DocumentProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(slots=True)
class _Place:
    """A line, and the places of what lies inside: keys by their text, items by their number."""

    line: int
    inner: "dict[str | int, _Place]" = field(default_factory=dict)
    names: dict[str | int, str] = field(default_factory=dict)
    """The text of keys that are not text, by how pydantic names them in a location."""


@dataclass(frozen=True, slots=True)
class Document(Generic[M]):
    """A document that was read: its value, and where each part of it stands."""

    name: str
    value: M
    _root: _Place

    def locate(self, path: Iterable[object]) -> int:
        """The line of what `path` names, or of the innermost part of it that is there."""
        return _line_of(self._root, path)

    def problem(self, path: Iterable[object], message: str) -> DocumentProblem:
        """A problem with what `path` names, for a `DocumentError`."""
        pieces = tuple(path)
        return DocumentProblem(self.name, self.locate(pieces), path_text(pieces), message)


def _line_of(root: _Place, path: Iterable[object]) -> int:
    place = root
    for piece in path:
        found = _inside(place, piece)
        if found is None:
            break
        _, place = found
    return place.line


def _inside(place: _Place, piece: object) -> tuple[str | int, _Place] | None:
    """The key or position that `piece` names, and what lies there."""
    name = piece if isinstance(piece, str | int) else str(piece)
    name = name if name in place.inner else place.names.get(name, name)
    found = place.inner.get(name)
    return None if found is None else (name, found)


def path_text(path: Iterable[object]) -> str:
    """A path as people read it: `rules[2].when.impact`, `sources["/erp"].cadence`."""
    text = ""
    for piece in path:
        if type(piece) is int:
            text += f"[{piece}]"
        elif re.fullmatch(r"[\w-]+", str(piece)):
            text += f".{piece}" if text else str(piece)
        else:
            text += f'["{piece}"]'
    return text


def closest(found: object, accepted: Iterable[str]) -> str:
    """` Did you mean X?` for a name that is nearly one of the accepted ones, else nothing."""
    close = get_close_matches(str(found), list(accepted), n=2)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def read_document(text: str | bytes, name: str, model: type[M]) -> Document[M]:
    """Read a YAML document as `model`. `name` is the file's name, used in messages only.

    Raises DocumentError with every problem found: of the YAML only the first, since what follows
    a syntax error is guesswork; of the content all.
    """
    reader = _Reader(_decoded(text, name), name)
    value, root = reader.read()
    try:
        return Document(name, model.model_validate(value), root)
    except ValidationError as error:
        raise DocumentError(_explain(error, name, root, model)) from None


# --- YAML ---------------------------------------------------------------------------------------

# What YAML does not allow in a text, as its specification lists it (section 5.1).
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _decoded(text: str | bytes, name: str) -> str:
    size = len(text)
    if size > MAX_DOCUMENT_BYTES:
        message = f"{size} bytes; the most that is read is {MAX_DOCUMENT_BYTES}"
        raise DocumentError([DocumentProblem(name, 1, "", message)])
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = "this is not UTF-8 text; save the file with the encoding UTF-8"
        raise DocumentError([DocumentProblem(name, line, "", message)]) from None
    decoded = decoded.removeprefix("\ufeff")  # a byte order mark, as Windows editors write it
    if odd := _NOT_YAML.search(decoded):
        line = decoded.count("\n", 0, odd.start()) + 1
        message = f"the character {odd.group()!r} cannot stand in a text file; remove it"
        raise DocumentError([DocumentProblem(name, line, "", message)])
    return decoded


@dataclass(frozen=True, slots=True)
class _Part:
    """A value as built, its place, and how large and deep it is with aliases written out."""

    value: Any
    place: _Place
    size: int = 1
    depth: int = 0


# The loader in C is ten times as fast and gives the same events; it is not built everywhere.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_KEY_EVENTS = (yaml.ScalarEvent, yaml.AliasEvent)

_SCALARS = {
    f"tag:yaml.org,2002:{tag}": words
    for tag, words in {"timestamp": "date or time", "int": "number", "float": "number"}.items()
}


class _Reader:
    """Builds plain values from YAML's events, with the line of each and with limits."""

    def __init__(self, text: str, name: str) -> None:
        self._lines = text.split("\n")
        self._name = name
        self._anchors: dict[str, _Part | None] = {}  # None: begun, not complete
        self._count = 0
        self._loader = _Loader(text)

    def read(self) -> tuple[Any, _Place]:
        try:
            self._next()  # the stream's start
            if self._loader.check_event(yaml.StreamEndEvent):
                raise self._error(1, "the document is empty")
            self._next()
            root = self._part(self._next(), ())
            self._next()
            following = self._next()
            if not isinstance(following, yaml.StreamEndEvent):
                raise self._error(_line(following), "a second document starts; one is expected")
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        finally:
            self._loader.dispose()
        if not isinstance(root.value, dict):
            found = "a list" if isinstance(root.value, list) else _shown(root.value)
            raise self._error(root.place.line, f"`key: value` lines are expected; found {found}")
        return root.value, root.place

    def _next(self) -> Any:
        return self._loader.get_event()

    def _part(self, event: Any, path: Path) -> _Part:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self._within_limits(event, path, 1, len(path))
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            part = self._scalar(event, path)
        elif isinstance(event, yaml.MappingStartEvent):
            part = self._mapping(event, path)
        else:
            part = self._sequence(event, path)
        if anchor is not None:
            self._anchors[anchor] = part
        return part

    def _alias(self, event: Any, path: Path) -> _Part:
        if event.anchor not in self._anchors:
            known = ", ".join(f"*{name}" for name in self._anchors) or "none"
            message = f"*{event.anchor} is not defined above this line; defined are: {known}"
            raise self._error(_line(event), message, path)
        part = self._anchors[event.anchor]
        if part is None:
            raise self._error(_line(event), f"*{event.anchor} contains itself", path)
        self._within_limits(event, path, part.size, len(path) + part.depth)
        return part

    def _within_limits(self, event: Any, path: Path, size: int, depth: int) -> None:
        self._count += size
        if self._count > MAX_VALUES:
            raise self._error(_line(event), f"more than {MAX_VALUES} values, aliases written out")
        if depth > MAX_DEPTH:
            message = f"more than {MAX_DEPTH} levels inside each other"
            raise self._error(_line(event), message, path[:3])

    def _scalar(self, event: Any, path: Path) -> _Part:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            value = self._loader.construct_object(node)
        except yaml.MarkedYAMLError:
            raise self._error(_line(event), f"the tag {tag} is not accepted", path) from None
        except (ValueError, KeyError, TypeError):
            message = f"{event.value[:80]!r} is no valid {_SCALARS.get(tag, tag)}; if it is text, "
            message += _QUOTES
            raise self._error(_line(event), message, path) from None
        return _Part(value, _Place(_line(event)))

    def _sequence(self, event: Any, path: Path) -> _Part:
        self._plain(event, _SEQ, path)
        values: list[Any] = []
        place, size, depth = _Place(_line(event)), 1, 0
        while not isinstance(following := self._next(), yaml.SequenceEndEvent):
            part = self._part(following, (*path, len(values)))
            place.inner[len(values)] = part.place
            values.append(part.value)
            size, depth = size + part.size, max(depth, part.depth + 1)
        return _Part(values, place, size, depth)

    def _mapping(self, event: Any, path: Path) -> _Part:
        self._plain(event, _MAP, path)
        values: dict[Any, Any] = {}
        place, size, depth = _Place(_line(event)), 1, 0
        merged: list[_Part] = []
        while not isinstance(following := self._next(), yaml.MappingEndEvent):
            if self._is_merge(following):
                merged += self._merged(self._part(self._next(), path), path)
                continue
            key = self._key(following, path)
            name, line = str(key), _line(following)
            if name in place.inner:
                first = place.inner[name].line
                raise self._error(line, f"given twice, first in line {first}", (*path, name))
            part = self._part(self._next(), (*path, name))
            values[key] = part.value
            place.inner[name] = _Place(line, part.place.inner, part.place.names)
            if not isinstance(key, str):
                place.names[int(key) if isinstance(key, int) else repr(key)] = name
            size, depth = size + part.size, max(depth, part.depth + 1)
        for part in merged:  # what the mapping says itself stands above what it takes over
            for key, value in part.value.items():
                if str(key) not in place.inner:
                    values[key] = value
                    place.inner[str(key)] = part.place.inner[str(key)]
            size, depth = size + part.size, max(depth, part.depth)
        return _Part(values, place, size, depth)

    def _key(self, event: Any, path: Path) -> Any:
        key = self._part(event, path).value if isinstance(event, _KEY_EVENTS) else []
        if isinstance(key, list | dict):
            raise self._error(_line(event), "a key is a name, not a list or a mapping", path)
        return key

    def _is_merge(self, event: Any) -> bool:
        return isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]

    def _merged(self, part: _Part, path: Path) -> list[_Part]:
        """The mappings that `<<: *name` or `<<: [*name, *other]` takes over, the first above."""
        parts = [part]
        if isinstance(part.value, list):
            parts = [
                _Part(value, part.place.inner[number], part.size, part.depth)
                for number, value in enumerate(part.value)
            ]
        if not all(isinstance(each.value, dict) for each in parts):
            raise self._error(part.place.line, "<< takes over mappings: <<: *name", path)
        return parts

    def _plain(self, event: Any, tag: str, path: Path) -> None:
        if event.tag not in (None, "!", tag):
            raise self._error(_line(event), f"the tag {event.tag} is not accepted", path)

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> DocumentError:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return self._error(line, self._plain_words(error, line))

    def _plain_words(self, error: yaml.MarkedYAMLError, line: int) -> str:
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        if "\t" in text[: len(text) - len(text.lstrip())]:
            return "the line starts with a tab; YAML is indented with spaces only"
        said = f"{error.context} {error.problem}"
        hint = next((hint for words, hint in _HINTS if words in said), None)
        return hint or f"this is not valid YAML: {error.problem}"

    def _error(self, line: int, message: str, path: Path = ()) -> DocumentError:
        return DocumentError([DocumentProblem(self._name, line, path_text(path), message)])


#: What the parser says, and what it mostly means.
_HINTS = (
    (
        "mapping values are not allowed",
        "a colon stands where none can; indent the line like its neighbours, put text in quotes",
    ),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("did not find expected key", "the indentation does not fit the lines above"),
    ("block sequence entries are not allowed", "a list item (- ) stands where none can"),
    ("<document start>", "something follows after the end of the document"),
    ("could not find expected ':'", "a key without a colon here or in the line above"),
    (
        "expected ',' or",
        "a bracket that is opened is not closed, or a comma is missing, here or above",
    ),
    ("quoted scalar", "a quotation mark that is opened is not closed"),
    ("cannot start any token", "text that starts with this sign must stand in quotes"),
)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


# --- what the model says ------------------------------------------------------------------------


def _explain(
    error: ValidationError, file: str, root: _Place, model: type[BaseModel]
) -> Iterator[DocumentProblem]:
    found: dict[Path, list[str]] = {}
    by_branch: set[Path] = set()  # what one alternative of several expected of the whole value
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # only short of entries because those that it has are wrong
        path, in_branch = _written_path(detail, root)
        found.setdefault(path, []).append(_message(detail, model))
        if in_branch:
            by_branch.add(path)
    for path, messages in found.items():
        deeper = any(len(other) > len(path) and other[: len(path)] == path for other in found)
        if deeper and path in by_branch:
            continue  # another alternative fits but for what it says further inside
        message = _joined(messages)
        yield DocumentProblem(file, _line_of(root, path), path_text(path), message)


def _joined(messages: list[str]) -> str:
    """What several alternatives expected of one value, as one sentence."""
    quoted = [message for message in messages if message.endswith(_QUOTES)]
    expected = dict.fromkeys(message.rpartition("; found ")[0] for message in messages)
    if quoted or len(messages) == 1 or "" in expected:
        return (quoted or messages)[0]
    return " or ".join(expected) + "; found " + messages[0].rpartition("; found ")[2]


def _written_path(detail: ErrorDetails, root: _Place) -> tuple[Path, bool]:
    """The error's location without pydantic's names for alternatives, and if it ended in one."""
    path: list[str | int] = []
    place: _Place = root
    dropped = False
    location = detail["loc"]
    for number, piece in enumerate(location):
        found = _inside(place, piece)
        if found is not None:
            name, place = found
            path.append(name)
            dropped = False
        elif number == len(location) - 1 and detail["type"] == "missing":
            path.append(piece)
            dropped = False
        else:
            dropped = True
    return tuple(path), dropped


_QUOTES = "put it in quotes"
_EXPECTED = {
    "string_type": "text is expected",
    "int_type": "a whole number is expected",
    "int_parsing": "a whole number is expected",
    "bool_type": "true or false is expected",
    "bool_parsing": "true or false is expected",
    "dict_type": "`key: value` lines are expected",
    "model_type": "`key: value` lines are expected",
    "model_attributes_type": "`key: value` lines are expected",
    "tuple_type": "a list is expected",
    "date_type": "a date is expected, e.g. 2026-11-01",
    "date_parsing": "a date is expected, e.g. 2026-11-01",
    "date_from_datetime_parsing": "a date is expected, e.g. 2026-11-01",
    "date_from_datetime_inexact": "a date without a time is expected, e.g. 2026-11-01",
    "datetime_type": "an instant is expected, e.g. 2026-11-01T10:00:00+01:00",
    "timezone_aware": "an instant needs a UTC offset, e.g. 2026-11-01T10:00:00+01:00",
}
_OF_TEXT = ("string_type", "enum", "literal_error")


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "required, but missing"
    if kind == "extra_forbidden":
        names = _accepted(model, detail["loc"][:-1])
        wrong = detail["loc"][-1]
        return f"not known here.{closest(wrong, names)} Accepted: {', '.join(names)}"
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    if kind == "union_tag_not_found":
        return f"{context.get('discriminator')} is required"
    if kind == "union_tag_invalid":
        accepted = context.get("expected_tags")
        return f"{context.get('discriminator')} is one of {accepted}; found {context.get('tag')!r}"
    if kind == "too_short" and found == "":
        return "text is expected; found none"
    if kind == "too_short":
        return "at least one is required; found none"
    if (found is None or isinstance(found, bool)) and kind in _OF_TEXT:
        return (
            f"text is expected; found {_shown(found)}. YAML reads a bare yes, no, on, off, null "
            f"or ~ so; {_QUOTES}"
        )
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}; found {_shown(found)}"
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    return f"{message.replace('input should be', 'must be')}; found {_shown(found)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "`key: value` lines"
        case list():
            return "a list"
        case str():
            return repr(value if len(value) <= 80 else value[:77] + "...")
        case _:
            return str(value)[:80]


def _accepted(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """Names of the keys that can stand at an error's location, as the models declare them."""
    types: list[Any] = [model]
    for piece in location:
        inner = [found for each in types for found in _types_inside(each, piece)]
        if not inner:  # not a key: the name of the alternative that was tried
            inner = [each for each in types if _carries_tag(each, piece)] or types
        types = [found for each in inner for found in _alternatives(each)]
    models = [each for each in types if _is_model(each)]
    names = (info.alias or name for each in models for name, info in each.model_fields.items())
    return list(dict.fromkeys(names))


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation


def _types_inside(annotation: Any, piece: str | int) -> Iterator[Any]:
    if _is_model(annotation):
        for name, info in annotation.model_fields.items():
            if piece in (name, info.alias):
                yield info.annotation
    elif get_origin(annotation) is dict:
        yield get_args(annotation)[1]
    elif get_origin(annotation) is tuple and isinstance(piece, int):
        yield get_args(annotation)[0]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _carries_tag(annotation: Any, tag: str | int) -> bool:
    return _is_model(annotation) and any(
        get_origin(info.annotation) is Literal and tag in get_args(info.annotation)
        for info in annotation.model_fields.values()
    )
