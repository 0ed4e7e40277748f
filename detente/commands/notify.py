"""`detente notify test`: whether people can be reached, tried out."""

import asyncio
import os
import secrets
import sys
from dataclasses import replace
from typing import Any, TextIO

import aiohttp
import click

from detente.channels import open_channels
from detente.desk import Desk, moment, open_desk
from detente.embedded import choose_documents
from detente.output import REFUSED, RefusedError, json_option, print_json, say, shown
from detente.past import in_force
from detente.reachability import keep_proof
from detente.settings import db_option
from detente.slack import slack_environment
from notifiers.message import Entry, EntryKind, Message
from notifiers.notifier import Notifiers, Sent, not_set_up
from schemas.directory import Person, Route
from schemas.policy import WATCH
from streams.relay.letters import route_name


@click.group()
def notify() -> None:
    """Try out whether people can be reached."""


@notify.command()
@click.option("--person", "people", multiple=True, metavar="P", help="Whom. Several are possible.")
@click.option("--all", "everybody", is_flag=True, help="Everybody who is active.")
@json_option
@db_option
def test(people: tuple[str, ...], *, everybody: bool, as_json: bool, db: str | None) -> None:
    """Send a test message over every route of a person, and record what came of it.

    The message says that it is a test and asks for nothing. It is sent from here, with the
    secrets that this command finds in its environment: run it where the service runs. Routes are
    those of directory.yaml here, also before the service is started with it; without one, those
    that the service has. Whether somebody reads it, only they can say. `detente check
    --reachability` shows what was recorded.

    The exit code is 1 if a route failed.

    \b
    detente notify test --person claire
    detente notify test --all
    """
    if bool(people) == everybody:
        raise click.UsageError("name --person P, or --all")
    with open_desk(db) as stored:
        with stored.store.reading() as tx:
            documents = choose_documents(stored.settings, tx)
        desk = replace(stored, knowledge=in_force(documents.policy, documents.directory))
        chosen = _everybody(desk) if everybody else {one: _person(desk, one) for one in people}
        terminal = sys.stderr if as_json else sys.stdout
        results = asyncio.run(_try_all(desk, chosen, terminal))
        with desk.store.transaction() as tx:
            for person_id, route, _, failure in results:
                keep_proof(tx, person_id, route, desk.now, failure)
    if as_json:
        print_json([_document(desk, *result) for result in results])
    else:
        for person_id, _, name, failure in results:
            outcome = "reached" if failure is None else f"FAILED: {failure}"
            say(f"{shown(person_id)}, {shown(name)}: {shown(outcome)}")
    for person_id, person in chosen.items():
        if not person.routes and not as_json:
            say(f"{shown(person_id)} has no route and cannot be told.")
    failed = any(failure is not None for *_, failure in results)
    if failed or not all(person.routes for person in chosen.values()):
        raise click.exceptions.Exit(REFUSED)


_Result = tuple[str, Route, str, str | None]
"""Person, route, its name in records, and why it failed."""


def _everybody(desk: Desk) -> dict[str, Person]:
    people = desk.knowledge.recipients.directory.people
    return {person_id: person for person_id, person in people.items() if person.active}


def _person(desk: Desk, person_id: str) -> Person:
    found = desk.knowledge.recipients.person(person_id)
    if found is None:
        known = ", ".join(list(desk.knowledge.recipients.directory.people)[:20])
        raise RefusedError(f"there is no person {person_id!r}; accepted: {known or 'none yet'}")
    return found


async def _try_all(desk: Desk, people: dict[str, Person], terminal: TextIO) -> list[_Result]:
    results: list[_Result] = []
    async with aiohttp.ClientSession() as session:
        channels = open_channels(slack_environment(os.environ), session, terminal)
        for person_id, person in people.items():
            for number, route in enumerate(person.routes, 1):
                name = route_name(number, route)
                failure = await _try(channels, _message(desk, person_id, name), route)
                results.append((person_id, route, name, failure))
    return results


async def _try(channels: Notifiers, message: Message, route: Route) -> str | None:
    """Why a route failed; None when it took the message."""
    channel = channels.get(route.kind)
    if channel is None:
        return not_set_up(route.kind).reason
    outcome = await channel.send(message, route)
    return None if isinstance(outcome, Sent) else outcome.reason


def _message(desk: Desk, person_id: str, route: str) -> Message:
    key = secrets.token_hex(16)
    entry = Entry(
        effect_id=key,
        idempotency_key=key,
        kind=EntryKind.NOTICE,
        case_id=None,
        tier=WATCH,
        partner="",
        partner_tier=None,
        subject=f"route {route}",
        headline="a test: nothing happened, and there is nothing to do",
        exposure=None,
        why=("Somebody wants to know whether Detente can reach you here.",),
        at=desk.now,
        due=None,
        next=None,
        note=None,
        urgent=False,
    )
    house = desk.knowledge.house()
    return Message(
        idempotency_key=key,
        person=person_id,
        name=house.name(person_id),
        zone=house.zone(person_id),
        sent_at=desk.now,
        attempt=1,
        entries=(entry,),
    )


def _document(
    desk: Desk, person_id: str, route: Route, name: str, failure: str | None
) -> dict[str, Any]:
    return {
        "person": person_id,
        "route": name,
        "kind": route.kind,
        "at": moment(desk.now),
        "reached": failure is None,
        "failure": failure,
    }
