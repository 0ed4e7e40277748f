"""Our packages have common names: each must be ours, whatever else is installed."""

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "rules", "streams", "notifiers", "detente")


@pytest.mark.parametrize("package", PACKAGES)
def test_package_resolves_inside_this_repository(package: str, tmp_path: Path) -> None:
    # A fresh interpreter elsewhere, in isolated mode: neither the working directory nor
    # PYTHONPATH helps, so this finds what the installed `detente` command finds.
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import {package}; print({package}.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == str(REPOSITORY / package / "__init__.py"), found.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_brings_a_package_of_this_name(package: str) -> None:
    assert set(packages_distributions().get(package, [])) <= {"detente"}
