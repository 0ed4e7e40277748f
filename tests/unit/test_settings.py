"""Where settings come from, and which one counts."""

from pathlib import Path

import pytest

from detente.settings import Settings, SettingsError, read_settings
from schemas.documents import DocumentError


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert read_settings({}, {}, tmp_path) == Settings(
        "sqlite:///detente.db", "127.0.0.1", 8380, None, None
    )


def test_documents_that_lie_here_are_used(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").touch()
    (tmp_path / "directory.yaml").touch()
    found = read_settings({}, {}, tmp_path)
    assert (found.policy, found.directory) == (
        tmp_path / "policy.yaml",
        tmp_path / "directory.yaml",
    )


def test_flags_stand_above_the_environment_and_that_above_the_file(tmp_path: Path) -> None:
    (tmp_path / "detente.yaml").write_text("host: file\nport: 1\npolicy: file.yaml\n")
    environment = {"DETENTE_HOST": "env", "DETENTE_PORT": "2", "DETENTE_DB": "sqlite:///env.db"}
    found = read_settings({"host": "flag", "port": None}, environment, tmp_path)
    assert found == Settings("sqlite:///env.db", "flag", 2, tmp_path / "file.yaml", None)


def test_port_0_is_a_choice_and_no_absence(tmp_path: Path) -> None:
    assert read_settings({"port": 0}, {"DETENTE_PORT": "5"}, tmp_path).port == 0


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert read_settings({}, {"DETENTE_HOST": "", "DETENTE_PORT": ""}, tmp_path).port == 8380


@pytest.mark.parametrize("port", ["web", "70000", "-1", "1.5"])
def test_a_port_that_is_none_is_named_with_its_place(tmp_path: Path, port: str) -> None:
    with pytest.raises(SettingsError, match=f"DETENTE_PORT: '{port}' is no port; accepted are 0"):
        read_settings({}, {"DETENTE_PORT": port}, tmp_path)


def test_a_mistake_in_the_file_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "detente.yaml").write_text("host: here\nprot: 80\n")
    with pytest.raises(
        DocumentError, match=r"detente\.yaml:2: prot: not known here\. Did you mean"
    ):
        read_settings({}, {}, tmp_path)
