"""The stores that the contract is checked against: one fixture, one parameter for each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.store import Store


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path / 'store, 100 % «new».db'}"
        case "postgres":
            url: str = request.getfixturevalue("postgres_url")
            return url
        case other:
            raise ValueError(other)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as opened:
        yield opened


@pytest.fixture
def other(store: Store, store_url: str) -> Iterator[Store]:
    """The same database, opened by somebody else."""
    with Store.open(store_url) as opened:
        yield opened


@pytest.fixture
def two_writers(postgres_url: str) -> Iterator[tuple[Store, Store]]:
    """Two stores that write at the same time, which only a server lets them."""
    with Store.open(postgres_url) as one, Store.open(postgres_url) as two:
        yield one, two
