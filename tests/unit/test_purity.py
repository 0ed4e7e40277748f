"""Law 1: ``schemas/`` and ``rules/`` read no clock, do no I/O, use no randomness, write no log."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PURE = ("schemas", "rules")

# Command lines of the build. They live beside what they print; nothing may import them.
BUILD_COMMANDS = {"schemas.export"}

IMPURE_MODULES = {
    "clock": {"sched", "time"},
    "randomness": {"random", "secrets", "uuid.uuid1", "uuid.uuid4"},
    "log": {"logging", "syslog", "warnings"},
    "I/O": {
        *("aiohttp", "asyncio", "builtins", "codecs.open", "ctypes", "fcntl", "fileinput"),
        *("ftplib", "getpass", "glob", "gzip.open", "http", "importlib", "io.FileIO", "io.open"),
        *("mmap", "multiprocessing", "os", "pathlib", "pickle", "pkgutil", "platform"),
        *("select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket"),
        *("socketserver", "sqlite3", "ssl", "subprocess", "sys.argv", "sys.stderr", "sys.stdin"),
        *("sys.stdout", "tempfile", "threading", "urllib.request"),
    },
}
IMPURE_BUILTINS = {"__import__": "I/O", "input": "I/O", "open": "I/O", "print": "I/O"}
CLOCK_METHODS = {"now", "today", "utcnow"}
CLOCK_OWNERS = {"datetime", "datetime.datetime", "datetime.date"}


def impurities(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, what is wrong) for everything in ``source`` that law 1 forbids."""
    tree = ast.parse(source)
    names: dict[str, str] = {}  # a local name -> the dotted thing that it stands for
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    local = alias.asname or alias.name.partition(".")[0]
                    names[local] = alias.name if alias.asname else local
                    yield from _judge(node.lineno, alias.name)
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                for alias in aliases:
                    names[alias.asname or alias.name] = f"{module}.{alias.name}"
                    yield from _judge(node.lineno, f"{module}.{alias.name}")
            case _:
                pass
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, attr=attr) if dotted := _dotted(owner, names):
                if attr in CLOCK_METHODS and dotted in CLOCK_OWNERS:
                    yield node.lineno, f"{dotted}.{attr} (clock)"
                elif dotted in {"codecs", "gzip", "io", "sys", "urllib", "uuid"}:
                    yield from _judge(node.lineno, f"{dotted}.{attr}")
            case ast.Name(id=name, ctx=ast.Load()) if name in IMPURE_BUILTINS:
                if name not in names:
                    yield node.lineno, f"{name} ({IMPURE_BUILTINS[name]})"
            case _:
                pass


def _judge(line: int, dotted: str) -> Iterator[tuple[int, str]]:
    for kind, modules in IMPURE_MODULES.items():
        if any(dotted == module or dotted.startswith(f"{module}.") for module in modules):
            yield line, f"{dotted} ({kind})"


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    match node:
        case ast.Name(id=name):
            return names.get(name)
        case ast.Attribute(value=owner, attr=attr):
            prefix = _dotted(owner, names)
            return prefix and f"{prefix}.{attr}"
        case _:
            return None


def _module(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def _pure_files() -> list[Path]:
    files = (path for package in PURE for path in sorted((REPOSITORY / package).rglob("*.py")))
    return [path for path in files if _module(path) not in BUILD_COMMANDS]


def test_schemas_and_rules_are_pure() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {what}"
        for path in _pure_files()
        for line, what in impurities(path.read_text(encoding="utf-8"))
    ]
    assert not found, "law 1 is broken:\n" + "\n".join(found)


def test_nothing_pure_imports_a_build_command() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}: {command}"
        for path in _pure_files()
        for command in BUILD_COMMANDS
        if command in _imports(path.read_text(encoding="utf-8"))
    ]
    assert not found


def _imports(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                found |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), names=aliases):
                found |= {module, *(f"{module}.{alias.name}" for alias in aliases)}
            case _:
                pass
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time", "time (clock)"),
        ("from time import monotonic", "time.monotonic (clock)"),
        ("import random as r", "random (randomness)"),
        ("import os.path", "os.path (I/O)"),
        ("from pathlib import Path", "pathlib.Path (I/O)"),
        ("import logging", "logging (log)"),
        ("from datetime import datetime\nx = datetime.now()", "datetime.datetime.now (clock)"),
        ("import datetime as dt\nx = dt.date.today()", "datetime.date.today (clock)"),
        ("from datetime import datetime as d\nf(d.utcnow)", "datetime.datetime.utcnow (clock)"),
        ("from uuid import uuid4", "uuid.uuid4 (randomness)"),
        ("import uuid\nx = uuid.uuid4()", "uuid.uuid4 (randomness)"),
        ("import sys\nsys.stdout.write('')", "sys.stdout (I/O)"),
        ("x = open('f')", "open (I/O)"),
        ("def f():\n    import socket", "socket (I/O)"),
        ("each(print)", "print (I/O)"),
    ],
)
def test_an_impurity_is_found(source: str, expected: str) -> None:
    assert expected in [what for _, what in impurities(source)]


@pytest.mark.parametrize(
    "source",
    [
        "from schemas.time import Instant",
        "from schemas import time\nx = time.parse(text)",
        "def f(now): return now",
        "x = context.now",
        "import datetime\nx = datetime.timedelta(hours=1)",
        "import uuid\nx = uuid.uuid5(space, name)",
        "import sys\nx = sys.intern(text)",
        "from rules.calendars import open\nx = open(day)",
    ],
)
def test_what_is_pure_passes(source: str) -> None:
    assert list(impurities(source)) == []
