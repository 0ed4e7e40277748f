"""A variable of the environment whose name is mistyped is named, and no other one."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from detente.cli import cli
from detente.variables import KNOWN, warn_of_unread

ROOT = Path(__file__).parents[2]
#: What runs, and where people read of it; benchmarks and tests have variables of their own.
SPOKEN_OF = (
    *(ROOT / "detente").rglob("*.py"), *(ROOT / "streams").rglob("*.py"),
    *(ROOT / "notifiers").rglob("*.py"), *(ROOT / "docs").rglob("*.md"),
    ROOT / "README.md", ROOT / "docker-compose.yml",
)  # fmt: skip


def test_every_variable_that_is_spoken_of_is_known() -> None:
    spoken = {
        name
        for path in SPOKEN_OF
        for name in re.findall(r"\bDETENTE_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    others = {"DETENTE_KAFKA", "DETENTE_SMTP", "DETENTE_INCIDENT_LOG"}
    assert spoken - others <= KNOWN
    assert len(spoken & KNOWN) > 15


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("DETENTE_KAFKA_BROKER", "DETENTE_KAFKA_BROKERS"),
        ("DETENTE_DBS", "DETENTE_DB"),
        ("DETENTE_SMTP_SERVER", "DETENTE_SMTP_USER"),
        ("DETENTE_SLACK_TOKEN", "DETENTE_SLACK_BOT_TOKEN"),
        ("DETENTE_SMTP_PASWORD", "DETENTE_SMTP_PASSWORD"),
        ("DETENTE_SLACK_SIGNIN_SECRET", "DETENTE_SLACK_SIGNING_SECRET"),
    ],
)
def test_a_mistyped_name_comes_with_the_one_that_is_nearest(name: str, near: str) -> None:
    warning = warn_of_unread({name: "xoxb-secret", "PATH": "/bin"})
    assert warning == f"Warning: no setting reads {name} (did you mean {near}?)"


def test_one_warning_names_them_all() -> None:
    environment = {"DETENTE_XYLOPHONE": "1", "DETENTE_PORTS": "1", "DETENTE_PORT": "1"}
    assert warn_of_unread(environment) == (
        "Warning: no setting reads DETENTE_PORTS (did you mean DETENTE_PORT?), DETENTE_XYLOPHONE"
    )


@pytest.mark.parametrize(
    "name", ["DETENTE_TEST_REQUIRE", "DETENTE_OUR_WEBHOOK_SECRET", "DETENTEDB", "DETENTE_LOG"]
)
def test_those_of_tests_and_routes_and_others_are_left_alone(name: str) -> None:
    assert warn_of_unread({name: "1"}) is None


def test_every_command_says_so_beside_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETENTE_KAFKA_BROKER", "kafka:9092")
    result = CliRunner().invoke(cli, ["version"])
    assert result.exit_code == 0
    assert "DETENTE_KAFKA_BROKER (did you mean DETENTE_KAFKA_BROKERS?)" in result.stderr
    assert "KAFKA" not in result.stdout


@pytest.mark.parametrize("command", ["worker", "relay", "intake", "topics show", "topics seek"])
def test_a_process_of_a_cluster_asks_for_a_database_of_a_server(command: str) -> None:
    said = CliRunner().invoke(cli, [*command.split(), "--help"]).output
    assert "sqlite" not in said
    assert "postgresql://" in said
