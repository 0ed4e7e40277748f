"""Messages as the cases stand now: for old messages that were clicked, and for `/detente case`."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from notifiers.message import Message
from notifiers.slack.blocks import Action, Rendered, case_message
from notifiers.slack.mrkdwn import value
from rules.decision import CaseRow, EffectKind, State
from schemas.time import Instant
from streams.relay import House
from streams.relay.letters import entry_of
from streams.slack.actions import Json, Place
from streams.store import Transaction

_ALERTS = (EffectKind.ALERT, EffectKind.NOTICE)


def current(
    tx: Transaction, case: CaseRow, house: House, reader: str, now: Instant, base_url: str | None
) -> Rendered | None:
    """The message about a case as it stands; None for a case that nobody was told of."""
    effects = [entry.effect for entry in tx.list_outbox(case_id=case.case_id)]
    alerts = [effect for effect in effects if effect.kind in _ALERTS]
    if not alerts:
        return None
    # The tier at which the case stands was asked; those below were told for information.
    asked = [effect for effect in alerts if effect.kind is EffectKind.ALERT] or alerts
    entry = replace(entry_of(asked[-1], case, house, now), state=case.state.value, tier=case.tier)
    message = Message(
        idempotency_key=entry.effect_id,
        person=reader,
        name=house.name(reader),
        zone=house.zone(reader),
        sent_at=now,
        attempt=1,
        entries=(entry,),
    )
    return case_message(entry, message, base_url)


def reader_of(tx: Transaction, case_id: str, place: Place) -> str | None:
    """The person for whom a message was posted."""
    told = [
        row.person
        for row in tx.deliveries_of(case_id)
        if row.reference and row.reference.startswith(f"{place.channel}/{place.ts}")
    ]
    return told[-1] if told else None


def asking(message: Json) -> list[str]:
    """The cases that a bundle asks to acknowledge, each beside its line."""
    return [str(block["accessory"]["value"]) for block in _blocks(message) if _asks(block)]


def settled(message: Json, cases: Mapping[str, CaseRow], name: Callable[[str], str]) -> Json:
    """A bundle in which what is no longer open asks for nothing more."""
    new = {
        "text": str(message.get("text", "")),
        "blocks": deepcopy(message.get("blocks", [])),
        "attachments": [
            {part: deepcopy(one[part]) for part in ("color", "fallback", "blocks") if part in one}
            for one in message.get("attachments", [])
        ],
    }
    for block in _blocks(new):
        if not _asks(block):
            continue
        case = cases.get(block["accessory"]["value"])
        if case is not None and case.state is not State.OPEN:
            del block["accessory"]
            owner = f", {value(name(case.owner), 200)}" if case.owner else ""
            block["text"]["text"] += f"\n_{case.state.capitalize()}{owner}_"
    left = len(asking(new))
    for part in (new, *new["attachments"]):
        part["blocks"] = [block for block in part.get("blocks", []) if left or not _for_all(block)]
    return new


def _blocks(message: Json) -> list[Any]:
    attached = (block for one in message.get("attachments", []) for block in one.get("blocks", []))
    return [*message.get("blocks", []), *attached]


def _asks(block: Json) -> bool:
    return bool((block.get("accessory") or {}).get("action_id") == Action.ACKNOWLEDGE)


def _for_all(block: Json) -> bool:
    found = {element.get("action_id") for element in block.get("elements", [])}
    return Action.ACKNOWLEDGE_ALL in found
