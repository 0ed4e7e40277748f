"""The commands that the pages on operations name are commands that there are."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest

from detente.cli import cli

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("operations.md", "runbook.md")
#: Commands in running text, in blocks, and behind a variable that is set for them.
_COMMAND = re.compile(r"(?:^ *|`|run --rm )(?:[A-Z_]+=\S+ )?detente ([a-z][^`#\n]*)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    return sorted(
        {
            (page, found.strip())
            for page in PAGES
            for found in _COMMAND.findall((DOCS / page).read_text())
        }
    )


@pytest.mark.parametrize(("page", "written"), commands())
def test_it_is_a_command_with_these_options(page: str, written: str) -> None:
    words = shlex.split(written.rstrip("."))
    command: click.Command = cli
    context = click.Context(cli, info_name="detente")
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: detente {written}"
        command = found
        words = words[1:]
    known = {option: param for param in command.params for option in param.opts}
    for word in words:
        if word.startswith("-"):
            assert word in known, f"{page}: detente {written}"
    for option, value in pairwise(words):
        kind = known[option].type if option in known else None
        if isinstance(kind, click.Choice):
            assert value in kind.choices


def test_the_pages_name_many() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (DOCS / page).read_text()):
        assert (DOCS / target).exists(), target
