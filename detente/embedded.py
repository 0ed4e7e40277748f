"""The embedded runtime without its service: a store, what is known, and the handler on them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from detente.documents import (
    SAMPLE_DIRECTORY,
    SAMPLE_POLICY,
    DirectoryFile,
    Knowledge,
    PolicyFile,
    compile_body,
    load_directory,
    load_policy,
    read_directory,
    stored_policies,
)
from detente.settings import Settings
from schemas.time import Instant
from streams.feeds import heard
from streams.handler import Handler
from streams.horizon import LAST_ALIVE as LAST_ALIVE  # noqa: PLC0414 - who asks for us asks for it
from streams.horizon import FeedWatch
from streams.store import DOCUMENTS, Store, Transaction
from streams.touchpoints import owe_touchpoints


def wall_clock() -> Instant:
    """Now."""
    return Instant(time.time_ns() // 1_000)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Documents, and in words where they come from."""

    policy: PolicyFile
    directory: DirectoryFile
    policy_from: str
    directory_from: str


@dataclass(frozen=True, slots=True)
class Established:
    """What a store is run with from now on."""

    knowledge: Knowledge
    policy_from: str
    directory_from: str
    is_new_policy: bool
    """Another version was in force before."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """An open store with everything that decides."""

    store: Store
    established: Established
    watch: FeedWatch
    handler: Handler

    @property
    def knowledge(self) -> Knowledge:
        """Policies and directory."""
        return self.established.knowledge


@contextmanager
def open_embedded(settings: Settings, now: Instant, *, create: bool = True) -> Iterator[Embedded]:
    """Open the store, bring it up to date, and put policy and directory in force.

    The caller holds the database's lock. Raises StoreError, DocumentError or SettingsError.
    """
    with Store.open(settings.db, create=create, migrate=True) as store:
        established = establish(store, settings, now)
        with store.reading() as tx:
            alive = tx.setting(LAST_ALIVE)
            known = heard(tx)
        knowledge = established.knowledge
        watch = FeedWatch(
            knowledge.policy.document, known, now, None if alive is None else Instant(int(alive))
        )
        handler = Handler(
            store, knowledge.policies, knowledge.recipients, watch.horizon, watch.hear
        )
        yield Embedded(store, established, watch, handler)


def establish(store: Store, settings: Settings, now: Instant) -> Established:
    """Put the policy and directory of the settings in force, and keep them as versions.

    Without a file the store's newest is used, and for a new store the sample.
    """
    with store.reading() as tx:
        chosen = choose_documents(settings, tx)
    policy, directory = chosen.policy, chosen.directory
    with store.transaction() as tx:
        tx.enter(alone=True)  # whoever decides next finds the guard moved, and reads anew
        known = len(tx.policies()) + len(tx.directories())
        is_new = _keep_policy(tx, policy, now)
        newest = tx.directories()
        if not newest or newest[-1].hash != directory.digest:
            tx.add_directory(directory.digest, directory.body, now, now)
            owe_touchpoints(tx, directory.recipients.directory.partners, now)
        if len(tx.policies()) + len(tx.directories()) != known:
            tx.bump(DOCUMENTS)
    with store.reading() as tx:
        policies = stored_policies(tx)
    assert policies is not None, "one has just been kept"
    return Established(
        Knowledge(policies, directory.recipients),
        chosen.policy_from,
        chosen.directory_from,
        is_new,
    )


def choose_documents(settings: Settings, tx: Transaction | None) -> Chosen:
    """The policy and directory that a store would be run with; without `tx`, a new one."""
    policy, policy_from = _policy(settings.policy, tx)
    directory, directory_from = _directory(settings.directory, tx, policy)
    return Chosen(policy, directory, policy_from, directory_from)


def _keep_policy(tx: Transaction, policy: PolicyFile, now: Instant) -> bool:
    versions = tx.policies()
    if not versions:
        # The first is in force from the beginning of time: events may be older than the store.
        tx.add_policy(policy.digest, policy.body, Instant(0), now)
        return False
    if versions[-1].hash == policy.digest:
        return False
    tx.add_policy(policy.digest, policy.body, now, now)
    tx.arm_for_policy(now)
    return True


def _policy(path: Path | None, tx: Transaction | None) -> tuple[PolicyFile, str]:
    if path is not None:
        return load_policy(path), str(path)
    if tx is not None and (versions := tx.policies()):
        return compile_body(versions[-1].body, "policy in the database"), "the one in the database"
    return load_policy(SAMPLE_POLICY), f"{SAMPLE_POLICY} (a sample: there is no policy.yaml here)"


def _directory(
    path: Path | None, tx: Transaction | None, policy: PolicyFile
) -> tuple[DirectoryFile, str]:
    compiled = policy.compiled
    if path is not None:
        return load_directory(path, compiled), str(path)
    if tx is not None and (versions := tx.directories()):
        found = read_directory(versions[-1].body, "directory in the database", compiled)
        return found, "the one in the database"
    sample = f"{SAMPLE_DIRECTORY} (a sample: there is no directory.yaml here)"
    return load_directory(SAMPLE_DIRECTORY, compiled), sample
