"""`detente case ID`: one case with its story."""

import click

from detente.case_story import (
    Line,
    headline_lines,
    load_story,
    print_lines,
    step_document,
    step_lines,
    told_documents,
)
from detente.desk import case_document, find_case, moment, open_desk
from detente.moments import due_in
from detente.output import json_option, print_json
from detente.settings import db_option
from schemas.time import local_text


@click.command()
@click.argument("case_id", metavar="CASE")
@json_option
@db_option
def case(case_id: str, as_json: bool, db: str | None) -> None:
    """Show a case with its story: what happened when, why, and who was told.

    CASE is the id that `detente cases` shows. Its first letters are enough if no other case
    begins with them, and C- may be left out. Times are the partner's.

    \b
    detente case C-QKVK6VEMGJ84
    detente case qkv
    """
    with open_desk(db) as desk:
        with desk.store.reading() as tx:
            found = find_case(tx, case_id)
            story = load_story(tx, found)
        if as_json:
            steps = [step_document(step) for step in story.steps]
            document = {"at": moment(desk.now), **case_document(found)}
            print_json(document | {"steps": steps, "told": told_documents(story)})
            return
        zone = desk.calendar(found.partner_id).zone
        print_lines([*headline_lines(desk, found, zone), Line("")])
        print_lines(step_lines(desk, story, zone))
        if found.due is not None:
            what = {"acknowledge": "to be acknowledged by", "resolve": "to be resolved by",
                    "wake": "comes back"}.get(found.waits_for or "", "goes on")  # fmt: skip
            next_line = (
                f"next: {what} {local_text(found.due, zone)} ({due_in(found.due, desk.now)})"
            )
            more = f"`detente explain {found.case_id}` says what follows if nobody acts"
            print_lines([Line(""), Line(next_line, style="bold"), Line(more, style="dim")])
