"""A real browser for the tests: Chromium without a window, for one page at a time.

Where it is missing the tests that need it are skipped, unless `DETENTE_TEST_REQUIRE` names
`chromium`.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.missing import missing

_PATIENCE_S = 60
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_HOW = f"There is no browser here: install the package `chromium` (looked for {', '.join(_NAMES)})"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of showing a page."""

    picture: bytes
    """The whole window as PNG."""
    console: list[str]
    """What the page and the browser wrote to the console, errors among it."""

    def said(self, name: str) -> Any:
        """The JSON document that the page wrote after this name."""
        [found] = [line for line in self.console if line.startswith(f"{name} ")]
        return json.loads(found.removeprefix(f"{name} "))


Show = Callable[[str, int, int], Seen]
"""Shows a page of HTML in a window so many pixels wide and high."""


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """The browser, with a profile of its own for each page."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        missing("chromium", _HOW)

    def shown(page: str, width: int, height: int) -> Seen:
        source, picture = tmp_path / "page.html", tmp_path / "picture.png"
        source.write_text(page, encoding="utf-8")
        done = subprocess.run(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", "--disable-dev-shm-usage",
                "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
                f"--screenshot={picture}", f"--window-size={width},{height}", source.as_uri(),
            ],
            capture_output=True, text=True, encoding="utf-8", errors="replace",
            timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        if not picture.exists():
            pytest.fail(f"the browser drew nothing\n{done.stderr[-4_000:]}", pytrace=False)
        console = re.findall(r'CONSOLE[^"\n]*"(.*)", source: ', done.stderr)
        return Seen(picture.read_bytes(), console)

    return shown
