"""`detente version`."""

import platform
from importlib.metadata import version as installed

import click

from detente.output import json_option, print_json, say


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Show which version of Detente this is, and of Python.

    \b
    detente version
    """
    found = {"detente": installed("detente"), "python": platform.python_version()}
    if as_json:
        print_json(found)
    else:
        say(f"detente {found['detente']} (Python {found['python']})")
