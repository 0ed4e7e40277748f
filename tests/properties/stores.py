"""A store is made once and copied for each example, which is far quicker."""

import shutil
from pathlib import Path


def copy_of(empty: Path) -> str:
    """The URL of a copy, in place of the one before."""
    path = empty.with_name("run.db")
    shutil.copy(empty, path)
    for suffix in ("-wal", "-shm"):
        path.with_name(f"run.db{suffix}").unlink(missing_ok=True)
    return f"sqlite:///{path}"
