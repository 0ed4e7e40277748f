"""Logs: for people and for programs, with ids, and without secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from streams.logs import about, secrets_of, set_up_logs

_log = logging.getLogger("tests.logs")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def logs(**how: bool) -> io.StringIO:
    said = io.StringIO()
    secrets = secrets_of(
        {"SLACK_BOT_TOKEN": "xoxb-very-secret", "DETENTE_TOKEN_COUNT": "3", "HOME": "/home/anna"},
        "postgresql://detente:p%40ssw0rd@127.0.0.1/detente",
        "no url",
    )
    set_up_logs(json=how.get("json", False), level="info", secrets=secrets, stream=said)
    return said


def test_a_line_for_people_ends_with_what_it_is_about() -> None:
    said = logs()
    with about(batch="a-1"), about(input="orders"):
        _log.info("Took %d records", 3, extra={"case": "C-1", "partner": None})
    _log.debug("not shown")
    _log.warning("nothing more")
    first, second = said.getvalue().splitlines()
    assert first.endswith(" INFO Took 3 records [case=C-1 batch=a-1 input=orders]")
    assert second.endswith(" WARNING nothing more")


def test_a_document_for_programs_has_them_as_fields() -> None:
    said = logs(json=True)
    with about(batch="a-1"):
        _log.error("late\nby «two» days", extra={"partner": "acme"})
    document = json.loads(said.getvalue())
    at = document.pop("at")
    assert at.endswith("Z")
    assert document == {
        "level": "error",
        "logger": "tests.logs",
        "message": "late\nby «two» days",
        "partner": "acme",
        "batch": "a-1",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_no_secret_is_ever_shown(as_json: bool) -> None:
    said = logs(json=as_json)
    try:
        raise ValueError("the server refused xoxb-very-secret")
    except ValueError:
        _log.exception("p@ssw0rd and %s", "xoxb-very-secret at /home/anna, 3 times")
    assert "xoxb" not in said.getvalue()
    assert "p@ssw0rd" not in said.getvalue()
    assert "*** and *** at /home/anna, 3 times" in said.getvalue()
    assert "ValueError: the server refused ***" in said.getvalue()
