"""What README and the pages name is there: commands, options, targets, links, headings."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest

from detente.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"),
                 *ROOT.glob("examples/**/*.md"))
)  # fmt: skip
#: Commands in running text, in blocks, and behind a variable that is set for them.
_COMMAND = re.compile(
    r"(?:^[ $]*|`|run --rm )(?:[A-Z_]+=\S+ )*detente ((?:-|[a-z])(?:[^`#\n\\]|\\\n)*)", re.MULTILINE
)
_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def commands() -> list[tuple[str, str]]:
    return sorted(
        {
            # Two columns of a block are a command and what it does.
            (page, re.split(r"\s{3,}", re.sub(r"\\\n *", " ", found).strip())[0])
            for page in PAGES
            for found in _COMMAND.findall(text_of(page))
        }
    )


def leaves(command: click.Command = cli, *path: str) -> Iterator[tuple[str, str]]:
    """Every command with its help."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command.help or ""
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, *path, name)


@pytest.mark.parametrize(("path", "text"), list(leaves()))
def test_every_command_is_explained_with_an_example(path: str, text: str) -> None:
    assert f"detente {path}" in text
    for written in _COMMAND.findall(text):
        test_it_is_a_command_with_these_options(f"detente {path} --help", written)


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
    assert len(commands()) > 80


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_is_one(page: str) -> None:
    makefile = text_of("Makefile")
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", text_of(page), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target, heading in re.findall(r"\]\((?!\w+:)([^)#]*)#?([^)]*)\)", text_of(page)):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if heading:
            assert heading in anchors(path), f"{target}#{heading}"


def anchors(path: Path) -> set[str]:
    """What the headings of a page are called in links, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", _BLOCK.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_running_text_is_there(page: str) -> None:
    folders = "schemas|rules|streams|notifiers|detente|tests|benchmarks|examples|docs|requirements"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text_of(page)):
        assert (ROOT / path).exists(), path
