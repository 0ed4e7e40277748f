"""`detente replay`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from detente.output import json_option, print_json, say

if TYPE_CHECKING:
    from schemas.time import Instant


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--map", "map_file", metavar="FILE", help="What the columns of a table mean.")
@click.option(
    "--policy",
    "policy_file",
    metavar="FILE",
    help="The rules to try.  [default: policy.yaml, else a sample]",
)
@click.option(
    "--directory",
    "directory_file",
    metavar="FILE",
    help="Who is who.  [default: directory.yaml, else a sample]",
)
@click.option(
    "--db", metavar="URL", help="Keep what is found in this database, to look at the cases."
)
@click.option(
    "--until",
    metavar="TIME",
    help="Let time go on until then: 2026-11-30 (its end, UTC), or 2026-11-30T12:00:00+01:00.",
)
@json_option
def replay(
    files: tuple[str, ...],
    *,
    map_file: str | None,
    policy_file: str | None,
    directory_file: str | None,
    db: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Try a policy on past events. Nobody is told.

    FILE holds events, one JSON object a line (.jsonl, .gz too), or is a table (.csv, .xlsx) with a
    mapping. Several files are put in order of time together. The clock shows the time of the
    event that is being read, so that deadlines pass as they would have then; it stops at the last
    event, or at --until.

    \b
    detente replay examples/scms/SCMS_Delivery_History_Dataset.csv.gz \\
        --map examples/scms/by-delivery.yaml
    """
    from detente.documents import (
        SAMPLE_DIRECTORY,
        SAMPLE_POLICY,
        load_directory,
        load_mapping,
        load_policy,
    )
    from detente.inputs import check_files, display, read_inputs
    from detente.past import (
        findings,
        in_force,
        note_time,
        open_past,
        print_findings,
        relive,
        warn_of_strangers,
    )
    from detente.settings import read_settings

    check_files(files, has_mapping=map_file is not None)
    end = None if until is None else _until(until)
    settings = read_settings({"policy": policy_file, "directory": directory_file})
    policy = load_policy(settings.policy or SAMPLE_POLICY)
    directory = load_directory(settings.directory or SAMPLE_DIRECTORY, policy.compiled)
    mapping = load_mapping(Path(map_file)) if map_file else None
    with open_past(db, policy, directory) as store:
        with display() as shows:
            tally = relive(
                store, in_force(policy, directory), read_inputs(files, mapping), shows, end
            )
        note_time(store, end)
        document = findings(store, tally)
    document["policy"] = {"file": policy.name, "version": policy.digest}
    warn_of_strangers(document, policy.compiled.default_tier)
    if as_json:
        print_json(document)
        return
    say(f"Policy: {policy.name}")
    say(f"Directory: {directory.name}")
    print_findings(document)
    if db is not None:
        say(f"To look at the cases: detente cases --db {db}")


def _until(text: str) -> "Instant":
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from schemas.time import end_of_day, to_instant

    try:
        if len(text) == len("2026-11-30"):
            return end_of_day(date.fromisoformat(text), ZoneInfo("UTC"))
        return to_instant(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is no time ({error}); write 2026-11-30, or with an offset "
            "2026-11-30T12:00:00+01:00",
            param_hint="--until",
        ) from None
