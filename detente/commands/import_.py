"""`detente import`: events from files and tables, live or as history."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detente.output import (
    REFUSED,
    RefusedError,
    json_option,
    print_json,
    print_table,
    remark,
    say,
    shown,
)
from detente.settings import Settings, db_option, document_options, read_settings

if TYPE_CHECKING:
    from schemas.mapping import Mapping
    from streams.records import Record

#: Records that are taken together, in one transaction.
BATCH = 2_000
_LISTED = 20


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--map", "map_file", metavar="FILE", help="What the columns of a table mean.")
@click.option("--preview", is_flag=True, help="Show what would be taken, and take nothing.")
@click.option(
    "--history",
    is_flag=True,
    help="The past: tell nobody, then show which cases stand open. No service may run.",
)
@db_option
@document_options
@json_option
def import_(
    files: tuple[str, ...],
    *,
    map_file: str | None,
    preview: bool,
    history: bool,
    db: str | None,
    policy: str | None,
    directory: str | None,
    as_json: bool,
) -> None:
    """Take events from a file, a table or standard input (-).

    FILE holds events, one JSON object a line (.jsonl, .gz too), or is a table (.csv, .xlsx) with a
    mapping. Importing a file again does no harm: what was taken before is a duplicate. What cannot
    be taken is kept, with the reason: see `detente rejected`.

    If the service runs, it takes the events, and people are told. Otherwise they are written to
    the database, and people are told when the service starts.

    \b
    detente import events.jsonl
    detente import orders.csv --map orders.yaml --preview
    """
    from detente.documents import load_mapping
    from detente.inputs import check_files

    check_files(files, has_mapping=map_file is not None)
    if preview and history:
        raise click.UsageError("--preview takes nothing, so --history does not go with it")
    settings = read_settings({"db": db, "policy": policy, "directory": directory})
    mapping = load_mapping(Path(map_file)) if map_file else None
    if preview:
        _preview(settings, files, mapping, as_json=as_json)
    elif history:
        _take_history(settings, files, mapping, as_json=as_json)
    else:
        _take(settings, files, mapping, as_json=as_json)


# --- before anything is taken ---------------------------------------------------------------------


def _preview(
    settings: Settings, files: tuple[str, ...], mapping: "Mapping | None", *, as_json: bool
) -> None:
    from detente.inputs import read_inputs
    from streams.tables import Unmapped, preview

    unmapped = Unmapped()
    found = preview(read_inputs(files, mapping, unmapped), unmapped=unmapped)
    known, tier = _known_partners(settings)
    strangers = {name: n for name, n in found.partners.items() if name not in known}
    if as_json:
        print_json(
            {
                "events": found.events,
                "first": [_readable(record.value) for record in found.first],
                "unmapped": found.unmapped,
                "unknown_fields": found.unknown_fields,
                "unknown_partners": strangers,
                "rejected": found.rejected_count,
                "first_rejected": [
                    {"input": r.input, "position": r.position, "reason": r.reason}
                    for r in found.rejected
                ],
                "repeated_ids": list(found.repeated_ids),
            }
        )
        return
    say("Nothing is taken yet. The first events would be:")
    for record in found.first:
        say(f"  {shown(record.position)}: {shown(record.value.decode(errors='replace'))}")
    say()
    print_table(["type", "events"], found.events.items(), numbers=["events"], empty="No events.")
    for column, texts in found.unmapped.items():
        say()
        rows = list(texts.items())
        print_table(
            ["text", "rows"],
            rows[:_LISTED],
            title=f"Column {shown(column)}: not covered by the mapping{_more(rows)}",
            numbers=["rows"],
        )
    if strangers:
        say()
        rows = list(strangers.items())
        print_table(
            ["partner", "events"],
            rows[:_LISTED],
            title=f"Partners that are not in the directory, to be taken with the tier {tier}"
            f"{_more(rows)}",
            numbers=["events"],
        )
    if found.rejected:
        say()
        say(f"{found.rejected_count} would not be taken; the first:")
        for rejected in found.rejected:
            say(f"  {shown(rejected.position)}: {shown(rejected.reason)}")
    if found.unknown_fields:
        say()
        rows = list(found.unknown_fields.items())
        print_table(
            ["field", "events"],
            rows[:_LISTED],
            title=f"Fields that nobody knows, to be ignored{_more(rows)}",
            numbers=["events"],
        )
    if found.repeated_ids:
        say()
        ids = ", ".join(map(shown, found.repeated_ids))
        say(f"Several events have the same id, and only one of each would be taken: {ids}")


def _more(rows: list[Any]) -> str:
    return f" (the first {_LISTED} of {len(rows)})" if len(rows) > _LISTED else ""


def _readable(value: bytes) -> object:
    import json

    try:
        return json.loads(value)
    except ValueError:  # what is no JSON is shown as it is
        return value.decode(errors="replace")


def _known_partners(settings: Settings) -> tuple[set[str], str]:
    from detente.embedded import choose_documents
    from streams.store import Store, StoreError

    try:
        with Store.open(settings.db, create=False) as store, store.reading() as tx:
            chosen = choose_documents(settings, tx)
    except StoreError:  # there is none yet: this may be the first thing that anybody does
        chosen = choose_documents(settings, None)
    return set(chosen.directory.document.value.partners), chosen.policy.compiled.default_tier


# --- live -----------------------------------------------------------------------------------------


def _take(
    settings: Settings, files: tuple[str, ...], mapping: "Mapping | None", *, as_json: bool
) -> None:
    from detente.client import open_intake
    from detente.inputs import display, read_inputs
    from streams import outcome as out
    from streams.records import InputError
    from streams.replay import Tally

    tally = Tally()
    counts = {"conflict": 0, "set_aside": 0, "parked": 0}
    reasons: list[dict[str, str]] = []
    broken: InputError | None = None
    with open_intake(settings) as take, display() as shows:
        records = shows.reading(read_inputs(files, mapping))
        try:
            for batch in _batches(records):
                outcomes = take(batch)
                tally.count(batch, outcomes)
                for record, outcome in zip(batch, outcomes, strict=True):
                    match outcome:
                        case out.Conflict():
                            counts["conflict"] += 1
                        case out.SetAside():
                            counts["set_aside"] += 1
                        case out.Parked():
                            counts["parked"] += 1
                        case _:
                            pass
                    reason = getattr(outcome, "reason", None)
                    if reason is not None and len(reasons) < _LISTED:
                        reasons.append(
                            {"input": record.input, "position": record.position, "reason": reason}
                        )
        except InputError as error:
            broken = error
    document = {
        "events": {
            "read": tally.read,
            "accepted": tally.accepted,
            "duplicate": tally.duplicate,
            "rejected": tally.rejected,
            **counts,
        },
        "reasons": reasons,
    }
    if as_json:
        print_json(document)
    else:
        _print_taken(tally, counts, reasons)
    if broken is not None:
        raise RefusedError(str(broken))
    if tally.rejected:
        raise click.exceptions.Exit(REFUSED)


def _print_taken(tally: Any, counts: dict[str, int], reasons: list[dict[str, str]]) -> None:
    say(
        f"{tally.read:,} read: {tally.accepted:,} taken, {tally.duplicate:,} duplicates, "
        f"{tally.rejected:,} rejected"
    )
    if counts["parked"]:
        say(f"{counts['parked']:,} of them wait for a case that does not exist yet")
    for row in reasons:
        say(f"  {shown(row['input'])}, {shown(row['position'])}: {shown(row['reason'])}")
    if tally.rejected:
        remark("What was rejected is kept; see: detente rejected")


def _batches(records: Iterable["Record"]) -> Iterator[list["Record"]]:
    iterator = iter(records)
    while batch := list(islice(iterator, BATCH)):
        yield batch


# --- history --------------------------------------------------------------------------------------


def _take_history(
    settings: Settings, files: tuple[str, ...], mapping: "Mapping | None", *, as_json: bool
) -> None:
    from detente.embedded import open_embedded, wall_clock
    from detente.inputs import display, read_inputs
    from detente.occupancy import Lock, OccupiedError
    from detente.past import OPEN, findings, print_findings, relive, warn_of_strangers
    from schemas.time import iso

    try:
        lock = Lock(settings.db, "detente import --history").acquire(2.0)
    except OccupiedError as holder:
        raise RefusedError(
            f"{settings.database} is in use by {holder}; stop it first: history is taken on a "
            "clock of its own"
        ) from None
    now = wall_clock()
    with lock, open_embedded(settings, now) as embedded:
        while embedded.handler.tick(now):
            pass  # what is due by now is told as ever, before the clock goes back
        with display() as shows:
            records = read_inputs(files, mapping)
            tally = relive(embedded.store, embedded.knowledge, records, shows, now)
        document = findings(embedded.store, tally)
        with embedded.store.reading() as tx:
            standing = tx.list_cases(states=OPEN, limit=_LISTED)
    triage = [
        {
            "case_id": case.case_id,
            "opened_at": iso(case.opened_at),
            "tier": case.tier,
            "state": case.state.value,
            "headline": case.headline,
        }
        for case in standing
    ]
    warn_of_strangers(document, embedded.knowledge.policy.default_tier)
    if as_json:
        print_json(document | {"open_first": triage})
    else:
        say(f"Policy: {embedded.established.policy_from}")
        print_findings(document)
        say()
        total = document["cases"]["open"]
        more = f"; the {len(triage)} oldest" if total > len(triage) else ""
        print_table(
            ["case", "opened", "tier", "state", "what"],
            [list(case.values()) for case in triage],
            title=f"{total:,} cases stand open{more}. Nobody was told of them.",
            empty="Nothing to look through.",
        )
        if total:
            say("Look through all of them with: detente cases")
    if tally.rejected:
        raise click.exceptions.Exit(REFUSED)
