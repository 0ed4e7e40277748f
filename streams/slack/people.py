"""Which person of the directory a Slack account belongs to.

An account is known by its link, made with a one-time code, else by a `slack` route of the
directory that leads to this very user. Both name workspace and user: a user id alone may be
somebody else's in another workspace.
"""

import hashlib
import secrets
from dataclasses import dataclass

import msgspec

from rules.recipients import Recipients
from schemas.directory import SlackRoute
from schemas.time import HOUR, Instant
from streams.slack.actions import Account
from streams.store import Transaction

#: A code is good for so long.
CODE_LASTS = HOUR
#: No letters that are easily taken for others.
_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


class LinkError(Exception):
    """A code that links nobody; the message says why and what to do."""


class _Pending(msgspec.Struct):
    team: str
    user: str
    until: int


@dataclass(frozen=True, slots=True)
class Stranger:
    """An account that may not act, and why, as the end of a sentence."""

    why: str
    may_link: bool


def find_person(
    tx: Transaction, account: Account, recipients: Recipients, home: str | None
) -> str | Stranger:
    """The person's key in the directory. `home` is the workspace that the bot token is of."""
    linked = tx.setting(_link_key(account))
    found = {linked} if linked else _by_route(account, recipients, home)
    if len(found) != 1:
        return Stranger("is not linked to a person in the directory", may_link=True)
    [person_id] = found
    person = recipients.person(person_id)
    if person is None:
        return Stranger("is linked to somebody whom the directory no longer lists", may_link=True)
    if not person.active:
        return Stranger("belongs to somebody who is no longer active", may_link=False)
    return person_id


def _by_route(account: Account, recipients: Recipients, home: str | None) -> set[str]:
    return {
        key
        for key, person in recipients.directory.people.items()
        for route in person.routes
        if isinstance(route, SlackRoute)
        and route.user == account.user
        and (route.team or home) == account.team
    }


def make_code(tx: Transaction, account: Account, now: Instant) -> str:
    """A new one-time code for an account. Only its fingerprint is kept."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(10))
    pending = _Pending(account.team, account.user, now + CODE_LASTS)
    tx.put_setting(_code_key(code), msgspec.json.encode(pending).decode())
    return code


def link(tx: Transaction, code: str, person_id: str, now: Instant) -> Account:
    """Link the account that was shown this code to a person. Raises LinkError."""
    kept = tx.setting(_code_key(code))
    if not kept:
        raise LinkError("this code is not known, or was used before; Slack shows a new one")
    pending = msgspec.json.decode(kept, type=_Pending)
    if pending.until <= now:
        raise LinkError("this code has expired; Slack shows a new one at the next click")
    account = Account(pending.team, pending.user)
    tx.put_setting(_code_key(code), "")  # once is enough
    tx.put_setting(_link_key(account), person_id)
    return account


def unlink(tx: Transaction, account: Account) -> bool:
    """Take a link back. False when there is none."""
    known = bool(tx.setting(_link_key(account)))
    if known:
        tx.put_setting(_link_key(account), "")
    return known


def _link_key(account: Account) -> str:
    return f"slack account {account.team}/{account.user}"


def _code_key(code: str) -> str:
    digest = hashlib.sha256(code.strip().upper().encode()).hexdigest()
    return f"slack code {digest}"
