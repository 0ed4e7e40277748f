"""Settings for every test: how far hypothesis searches, and the --thorough flag."""

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.rigs.postgres",
    "tests.rigs.kafka",
    "tests.rigs.kafka_tls",
    "tests.rigs.chromium",
]

# No deadline and no too_slow: both measure the machine, not the code.
settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    settings.get_profile("ci"),
    derandomize=False,
    max_examples=2_000,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="search longer: more generated examples from a new seed, longer crash and load tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hypothesis-profile") is None:
        settings.load_profile("thorough" if config.getoption("--thorough") else "ci")


@pytest.fixture(scope="session")
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether a test with a long form shall run it (``make thorough``)."""
    return bool(pytestconfig.getoption("--thorough"))
