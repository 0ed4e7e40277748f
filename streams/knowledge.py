"""Policy and directory: checked, compiled, and as the store keeps them."""

import hashlib
from dataclasses import dataclass

from rules.policy import CompiledPolicy, PolicyError, PolicyHistory, compile_policy
from rules.recipients import Recipients, directory_problems
from schemas.directory import Directory
from schemas.documents import Document, DocumentError, read_document
from schemas.policy import ROLES, WATCH, Policy
from schemas.time import iso
from streams.relay import House
from streams.store import DOCUMENTS, StoreError, Transaction, Version


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy that can be put in force."""

    name: str
    """The file as the user wrote it, for messages."""
    body: bytes
    digest: str
    document: Document[Policy]
    compiled: CompiledPolicy


@dataclass(frozen=True, slots=True)
class DirectoryFile:
    """A directory that fits a policy."""

    name: str
    body: bytes
    digest: str
    document: Document[Directory]
    recipients: Recipients


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What events are decided with: every version of the policy, and who is who."""

    policies: PolicyHistory
    recipients: Recipients

    @property
    def policy(self) -> CompiledPolicy:
        """The newest version."""
        return self.policies.newest

    def house(self) -> House:
        """The same for the relay."""
        return House(self.policy.document, self.recipients, self.policy.calendars)


def digest_of(body: bytes) -> str:
    """Names a version of a document: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(body).hexdigest()[:16]


def compile_body(body: bytes, name: str) -> PolicyFile:
    """Compile a policy's text; `name` is what messages call it. Raises DocumentError."""
    document = read_document(body, name, Policy)
    digest = digest_of(body)
    try:
        compiled = compile_policy(document.value, digest)
    except PolicyError as error:
        raise DocumentError(document.problem(p.path, p.message) for p in error.problems) from None
    return PolicyFile(name, body, digest, document, compiled)


def read_directory(body: bytes, name: str, policy: CompiledPolicy) -> DirectoryFile:
    """Check a directory's text; `name` is what messages call it. Raises DocumentError."""
    document = read_document(body, name, Directory)
    found = directory_problems(
        document.value,
        policy.calendars,
        (*ROLES, *policy.document.roles),
        policy.partner_tiers,
        (WATCH, *policy.document.tiers),
    )
    if problems := [document.problem(path, message) for path, message in found]:
        raise DocumentError(problems)
    recipients = Recipients(document.value, policy.calendars, policy.default_tier)
    return DirectoryFile(name, body, digest_of(body), document, recipients)


def stored_policies(tx: Transaction) -> PolicyHistory | None:
    """Every version of the policy in the store, compiled; None when it has none yet.

    Raises DocumentError when a version is not understood any more.
    """
    versions = tx.policies()
    if not versions:
        return None
    compiled = {v.hash: compile_body(v.body, _stored_name("policy", v)).compiled for v in versions}
    return PolicyHistory(tuple((v.active_from, compiled[v.hash]) for v in versions))


def stored_directory(tx: Transaction, policy: CompiledPolicy) -> Recipients | None:
    """The newest directory in the store; None when it has none yet. Raises DocumentError."""
    versions = tx.directories()
    if not versions:
        return None
    newest = versions[-1]
    return read_directory(newest.body, _stored_name("directory", newest), policy).recipients


def in_force(tx: Transaction) -> tuple[Knowledge, int]:
    """What others have put in force, and the version of the guard DOCUMENTS that says so.

    Raises StoreError when nobody has yet, DocumentError.
    """
    version = tx.versions([DOCUMENTS])[DOCUMENTS]
    policies = stored_policies(tx)
    recipients = None if policies is None else stored_directory(tx, policies.newest)
    if policies is None or recipients is None:
        raise StoreError(
            "no policy and directory are in force in this database; `detente worker` puts those of "
            "its settings in force"
        )
    return Knowledge(policies, recipients), version


def _stored_name(what: str, version: Version) -> str:
    return f"{what} of {iso(version.recorded_at)} in the database"
