"""What several properties start from."""

from pathlib import Path

import pytest

from streams.store import Store


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store; each run works on a copy of its file (`stores.copy_of`)."""
    path = tmp_path_factory.mktemp("stores") / "empty.db"
    Store.open(f"sqlite:///{path}").close()
    return path
