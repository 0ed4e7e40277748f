"""`detente slack`: which person a Slack account belongs to."""

import click

from detente.desk import now, open_desk
from detente.output import RefusedError, say, shown
from detente.settings import db_option
from schemas.documents import closest


@click.group()
def slack() -> None:
    """Which person a Slack account belongs to.

    Whoever clicks in Slack and is not known is shown a code. Enter it here. An account whose
    member id stands in a slack route of the directory needs no link.
    """


@slack.command()
@click.argument("code")
@click.option("--person", required=True, metavar="PERSON", help="As the directory names them.")
@db_option
def link(code: str, *, person: str, db: str | None) -> None:
    """Link the account that was shown CODE to a person of the directory.

    \b
    detente slack link 7KQ2M9XFTB --person claire
    """
    from streams.slack.people import LinkError
    from streams.slack.people import link as link_account

    with open_desk(db) as desk:
        people = desk.knowledge.recipients.directory.people
        if person not in people:
            raise RefusedError(
                f"the directory knows nobody called {person!r}.{closest(person, people)} "
                f"It lists {', '.join(list(people)[:20]) or 'nobody yet'}"
            )
        if not people[person].active:
            raise RefusedError(f"{person} is no longer active")
        try:
            with desk.store.transaction() as tx:
                account = link_account(tx, code, person, now())
        except LinkError as error:
            raise RefusedError(str(error)) from None
    who = shown(people[person].name)
    say(f"The Slack account {account.user} of workspace {account.team} is {who} now.")


@slack.command()
@click.argument("team")
@click.argument("user")
@db_option
def unlink(team: str, user: str, *, db: str | None) -> None:
    """Take the link of the account USER of the workspace TEAM back.

    \b
    detente slack unlink T012AB3C4 U061F7AUR
    """
    from streams.slack.actions import Account
    from streams.slack.people import unlink as unlink_account

    with open_desk(db) as desk, desk.store.transaction() as tx:
        known = unlink_account(tx, Account(team, user))
    if not known:
        raise RefusedError(f"the account {user!r} of the workspace {team!r} is not linked")
    say(f"The Slack account {user} of workspace {team} is linked to nobody now.")
