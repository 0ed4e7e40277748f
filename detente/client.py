"""Commands write through the running service, or by themselves when none runs.

In a cluster they always write by themselves, beside the workers: any number of processes may.

submit(settings, [{"specversion": "1.0", ...}])  ->  [Accepted()]
"""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import inspect, select
from sqlalchemy.exc import DBAPIError

from detente.embedded import open_embedded, wall_clock
from detente.occupancy import Address, Lock, OccupiedError, find
from detente.output import UnreachableError
from detente.settings import Settings
from detente.wire import PATH, decode_outcomes, encode_records
from streams.outcome import Outcome
from streams.records import RawRecord, Record
from streams.store import Store
from streams.store.engines import database_file, parse_url, reading_engine, shown
from streams.store.tables import position

Take = Callable[[Sequence[Record]], list[Outcome]]
"""Takes a batch and returns once it is on disk, with one outcome for each record."""

#: Seconds. The service may be at a large batch of somebody else's.
_TIMEOUT = 120.0
_PATIENCE = 5.0


def submit(settings: Settings, events: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """Take events, each a CloudEvent as plain values. Returns one outcome for each.

    Raises UnreachableError when neither a service nor the database can be written to.
    """
    records = [
        RawRecord("cli", f"event {number}", msgspec.json.encode(event))
        for number, event in enumerate(events, 1)
    ]
    with open_intake(settings) as take:
        return take(records)


@contextmanager
def open_intake(settings: Settings) -> Iterator[Take]:
    """What takes records: the service of this database if one runs, else the database itself.

    Raises UnreachableError.
    """
    if is_of_a_cluster(settings.db):
        with _beside_workers(settings.db) as take:
            yield take
        return
    lock = Lock(settings.db, "a detente command")
    try:
        lock.acquire(0)
    except OccupiedError as holder:
        address = find(settings.db)
        if address is not None and address.pid == holder.pid:
            yield lambda records: _send(address, records)
            return
        _wait_for(lock)
    with lock, open_embedded(settings, wall_clock()) as embedded:
        yield lambda records: embedded.handler.take(records, wall_clock())


def is_of_a_cluster(db: str) -> bool:
    """Whether workers of a cluster have written to the database, whatever schema it has.

    Raises StoreError, or UnreachableError when the server is away.
    """
    url = parse_url(db)
    if database_file(url) is not None:
        return False
    engine = reading_engine(url)
    try:
        with engine.connect() as connection:
            is_store = inspect(connection).has_table(position.name)
            rows = connection.execute(select(position.c.input).limit(1)) if is_store else None
            return rows is not None and rows.first() is not None
    except DBAPIError as error:
        raise UnreachableError(
            f"{shown(url)} cannot be used now: {' '.join(str(error.orig).split())}"
        ) from None
    finally:
        engine.dispose()


@contextmanager
def _beside_workers(db: str) -> Iterator[Take]:
    from streams.cluster.deciding import Deciding
    from streams.cluster.presence import OccupiedError as Occupied
    from streams.cluster.presence import Presence
    from streams.cluster.read_past import ReadPast

    presence = Presence(db)
    try:
        presence.enter()
    except Occupied as error:
        raise UnreachableError(str(error)) from None
    try:
        with Store.open(db, create=False) as store:
            # How far the topics were read is not asked: nothing that was decided is taken back by
            # one that knows less.
            deciding = Deciding(store, ReadPast(), wall_clock)
            yield lambda records: deciding.take(records, wall_clock())
    finally:
        presence.leave()


def _wait_for(lock: Lock) -> None:
    try:
        lock.acquire(_PATIENCE)
    except OccupiedError as holder:
        raise UnreachableError(
            f"the database is in use by {holder}, and no service answers; try again in a moment"
        ) from None


def _send(address: Address, records: Sequence[Record]) -> list[Outcome]:
    headers = {
        "Authorization": f"Bearer {address.token}",
        "Content-Type": "application/octet-stream",
    }
    body = encode_records(records)
    try:
        with _open(address.url + PATH, body, headers, timeout=_TIMEOUT) as answer:
            return decode_outcomes(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            said = refused.read(10_000)
        raise UnreachableError(
            f"the service at {address.url} did not take it: {_why(said)}"
        ) from None
    except OSError as error:
        raise UnreachableError(
            f"the service at {address.url} does not answer ({error}); whether it has taken this is "
            "unknown. Doing it again does no harm"
        ) from None


def _open(url: str, body: bytes | None, headers: dict[str, str], timeout: float) -> Any:
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - http, from our own file
    # No proxy, whatever the environment names: the service is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=timeout)


def _why(said: bytes) -> str:
    try:
        return str(msgspec.json.decode(said)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "it gave no reason"
