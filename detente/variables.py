"""Which variables of the environment are read, so that one whose name is mistyped can be named."""

from collections.abc import Mapping
from difflib import get_close_matches

from detente.settings import PREFIX, SettingsFile
from streams.cluster.settings import PREFIX as KAFKA_PREFIX
from streams.cluster.settings import KafkaSettings

_IN_THE_ENVIRONMENT_ALONE = (
    "ACTOR",
    "BASE_URL",
    *(f"SMTP_{name}" for name in ("HOST", "PORT", "TLS", "FROM", "USER", "PASSWORD")),
    *(f"SLACK_{name}" for name in ("BOT_TOKEN", "APP_TOKEN", "SIGNING_SECRET")),
    *("POLICY_FILE", "DIRECTORY_FILE", "DB_PASSWORD", "PUBLISHED_PORT"),  # docker-compose.yml's
)
KNOWN = frozenset(
    [PREFIX + name.upper() for name in SettingsFile.model_fields if name != "kafka"]
    + [KAFKA_PREFIX + name.upper() for name in KafkaSettings.model_fields]
    + [PREFIX + name for name in _IN_THE_ENVIRONMENT_ALONE]
)
_NAMES = sorted(name.removeprefix(PREFIX) for name in KNOWN)
_OF_TESTS = PREFIX + "TEST_"
#: Routes name the variables with their secrets as they like, but hardly almost like one of ours.
_SECRETS = ("SECRET", "TOKEN", "PASSWORD")
_ALMOST, _SIMILAR = 0.8, 0.6


def warn_of_unread(environment: Mapping[str, str]) -> str | None:
    """A sentence that names each variable of ours that no setting reads; None if all are read."""
    named = []
    for variable in sorted(environment.keys() - KNOWN):
        name = variable.removeprefix(PREFIX)
        if name == variable or variable.startswith(_OF_TESTS):
            continue
        is_secret = any(part in name for part in _SECRETS)
        near = get_close_matches(name, _NAMES, 1, cutoff=_ALMOST if is_secret else _SIMILAR)
        if near:
            named.append(f"{variable} (did you mean {PREFIX}{near[0]}?)")
        elif not is_secret:
            named.append(variable)
    return f"Warning: no setting reads {', '.join(named)}" if named else None
