"""docker-compose.yml and Dockerfile, held to what they promise. No engine is needed for that."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from detente.cli import cli
from detente.settings import PREFIX, SettingsFile
from detente.slack import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from notifiers.email import PREFIX as SMTP
from notifiers.slack.notifier import BASE_URL
from streams.cluster.settings import PREFIX as KAFKA
from streams.cluster.settings import KafkaSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
#: What the Compose Specification knows of a service, as far as we use it.
KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck",
    "image", "ports", "profiles", "read_only", "restart", "security_opt", "stop_grace_period",
    "tmpfs", "volumes",
}  # fmt: skip
CHECK = {"interval", "retries", "start_period", "test", "timeout"}
CONDITIONS = {"service_healthy", "service_completed_successfully"}
_SPAN = re.compile(r"\d+(s|m)")
SETTINGS = {
    *(f"{PREFIX}{name}".upper() for name in SettingsFile.model_fields),
    *(f"{KAFKA}{name}".upper() for name in KafkaSettings.model_fields),
    *(f"{SMTP}{name}" for name in ("HOST", "PORT", "TLS", "USER", "PASSWORD", "FROM")),
    BOT_TOKEN, APP_TOKEN, SIGNING_SECRET, BASE_URL,
}  # fmt: skip


def is_job(service: dict[str, Any]) -> bool:
    return bool(service["restart"] == "no")


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_says_what_compose_understands(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= KEYS
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.fullmatch(r"\d+(\.\d+)+(-\w+)?", tag), "a version, and never the latest"
    assert "/" not in image or "." not in image.split("/")[0], "no registry is named"
    assert service["restart"] in {"no", "unless-stopped"}
    if not is_job(service):
        check = service["healthcheck"]
        assert set(check) == CHECK
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
        assert isinstance(check["retries"], int)
        spans = [check[key] for key in ("interval", "start_period", "timeout")]
        assert all(map(_SPAN.fullmatch, [*spans, service["stop_grace_period"]]))
    environment = service.get("environment", {})
    assert all(isinstance(value, str) for value in environment.values())
    assert all(isinstance(word, str) for word in service.get("command", ()))
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+|\$\{\w+:-\d+\}):\d+", port)
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] in CONDITIONS
        is_end = how["condition"] == "service_completed_successfully"
        assert is_job(SERVICES[other]) == is_end
    for volume in service.get("volumes", ()):
        source = re.sub(r"^\$\{\w+:-(.*?)\}", r"\1", volume).split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists()


def test_what_has_to_be_there_first_is_waited_for() -> None:
    for name in ("worker", "relay", "intake"):
        needs = {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}
        assert needs == {
            "kafka": "service_healthy",
            "postgres": "service_healthy",
            "migrate": "service_completed_successfully",
            "topics": "service_completed_successfully",
        }


def test_there_may_be_several_workers_and_relays() -> None:
    for name in ("worker", "relay"):
        assert "container_name" not in SERVICES[name]
        assert "ports" not in SERVICES[name]


def test_only_this_machine_reaches_what_is_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", OURS)
def test_our_image_may_do_nothing_that_it_need_not(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "user" not in service


@pytest.mark.parametrize("name", [name for name in OURS if "command" in OURS[name]])
def test_the_command_is_one_of_ours(name: str) -> None:
    command = OURS[name]["command"]
    words = [word for word in command if not word.startswith("--") and not word.isdigit()]
    said = CliRunner().invoke(cli, [*words, "--help"])
    assert said.exit_code == 0, said.output
    for option in (word for word in command if word.startswith("--")):
        assert f"{option} " in said.output
    if (check := OURS[name].get("healthcheck")) is not None:
        port = command[command.index("--port") + 1]
        assert f"http://localhost:{port}/health/" in check["test"][-1]
        compile(check["test"][-1], "healthcheck", "exec")


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    assert OURS[name]["environment"].keys() <= SETTINGS


def test_every_variable_that_is_filled_in_has_something_to_fall_back_on() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"\$\{\w+\}|\$\w", text)


# --- the image -----------------------------------------------------------------------------------


def lines(instruction: str) -> list[str]:
    whole = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{instruction} (.*)$", whole, re.MULTILINE)


def test_the_image_is_built_from_what_is_here_and_locked() -> None:
    for base in lines("FROM"):
        assert re.fullmatch(r"python:3\.1[123]\.\d+-slim-\w+( AS \w+)?", base)
    for copied in lines("COPY"):
        *sources, _ = [word for word in shlex.split(copied) if not word.startswith("--")]
        if "--from" not in copied:
            assert all((ROOT / source).exists() for source in sources)
            ignored = (ROOT / ".dockerignore").read_text()
            assert all(f"!{source}" in ignored.splitlines() for source in sources)
    [install] = [run for run in lines("RUN") if "pip install" in run]
    assert "--require-hashes" in install


def test_the_image_runs_as_nobody_special() -> None:
    [user] = lines("USER")
    assert user not in {"root", "0"}
    assert any("useradd --system --uid 10001" in run and run.split()[-1] for run in lines("RUN"))
    assert DOCKERFILE.index("USER ") < DOCKERFILE.index("ENTRYPOINT ")
    assert lines("ENTRYPOINT") == ['["python", "-m", "detente"]']
