"""`detente evidence CASE`: what may be forwarded to the partner about a case."""

import click

from detente.desk import find_case, open_desk
from detente.evidence import collect, evidence_document, markdown
from detente.output import RefusedError, json_option, print_json, say
from detente.settings import db_option
from rules.decision import Kind
from rules.subjects import read_document

_ACCEPTED = (Kind.ORDER, Kind.TICKET, Kind.METRIC)


@click.command()
@click.argument("case_id", metavar="CASE")
@json_option
@db_option
def evidence(case_id: str, as_json: bool, db: str | None) -> None:
    """Print, as Markdown, what happened and what was promised: fit to be forwarded to the partner.

    What happened, the clocks of both sides with counted and excluded time, and the terms in force.
    Names of people, notes, free text, tiers and the ladder are left out. Nothing is sent: read it,
    and forward it yourself. Times are the partner's.

    \b
    detente evidence C-QKVK6VEMGJ84 > evidence.md
    detente evidence qkv --json
    """
    with open_desk(db) as desk:
        with desk.store.reading() as tx:
            case = find_case(tx, case_id)
            if case.kind not in _ACCEPTED:
                raise RefusedError(
                    f"{case.case_id} is about a {case.kind}, which is more than one thing of one "
                    "partner; ask for the case of one order or ticket (`detente cases`)"
                )
            row = tx.subject(case.subject)
        assert row is not None, "a case has a subject"
        found = collect(desk, case, read_document(row.document))
        if as_json:
            print_json(evidence_document(found))
            return
        for line in markdown(found):
            say(line)
