"""What the tests start themselves, and this machine may lack: a server, a broker, a browser."""

import os
from typing import NoReturn

import pytest


def missing(name: str, how: str) -> NoReturn:
    """Skip with a line that says how to get it; fail where `DETENTE_TEST_REQUIRE` names it.

    Whoever has no Java, say, can still run all tests that need none. CI names everything.
    """
    if name in os.environ.get("DETENTE_TEST_REQUIRE", "").replace(",", " ").split():
        pytest.fail(how, pytrace=False)
    pytest.skip(how)
