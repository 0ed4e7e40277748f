"""A fresh timeline for each story."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from streams.store import Store
from tests.harness import Timeline

Begin = Callable[..., Timeline]


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: migrations take longer than most stories."""
    file = tmp_path_factory.mktemp("migrated") / "store.db"
    Store.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def begin(migrated_database: Path, tmp_path: Path) -> Iterator[Begin]:
    """Begins a story: `begin(policy(...), directory(...))`, both of them as usual if left out."""
    stories: list[Timeline] = []

    def new(
        policy: dict[str, Any] | None = None, directory: dict[str, Any] | None = None
    ) -> Timeline:
        database = tmp_path / f"story-{len(stories)}.db"
        copy(migrated_database, database)
        stories.append(Timeline(database, policy, directory))
        return stories[-1]

    yield new
    for story in stories:
        story.close()


@pytest.fixture
def story(begin: Begin) -> Timeline:
    """A story in the house as usual."""
    return begin()
