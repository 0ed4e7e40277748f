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


def log_at(second: float, message: str, level: int = logging.ERROR, **more: str) -> None:
    record = _log.makeRecord(_log.name, level, "", 0, message, (), None, extra=more)
    record.created = 1_800_000_000 + second
    _log.handle(record)


def messages(said: io.StringIO) -> list[str]:
    return [json.loads(line)["message"] for line in said.getvalue().splitlines()]


def test_an_outage_says_the_same_once_a_minute_and_how_often_it_was_so() -> None:
    said = logs(json=True)
    for second in range(61):
        log_at(second, "no connection")
    log_at(61, "no connection")
    assert messages(said) == ["no connection", "no connection (and 59 more until now)"]


def test_whatever_differs_in_words_or_ids_or_is_no_warning_is_said_each_time() -> None:
    said = logs(json=True)
    for case in ("C-1", "C-2"):
        log_at(0, "set aside", case=case)
        log_at(0, "taken", logging.INFO)
    log_at(1, "set aside", logging.WARNING, case="C-1")
    assert messages(said) == ["set aside", "taken", "set aside", "taken", "set aside"]


def test_details_of_an_error_are_never_left_out() -> None:
    said = logs(json=True)
    for reason in ("first", "second"):
        try:
            raise ValueError(reason)
        except ValueError:
            _log.exception("could not be taken")
    assert len(messages(said)) == 2
