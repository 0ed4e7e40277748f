"""Policy, directory and mapping files: read from disk, else from the store, else the samples."""

from pathlib import Path

from detente.settings import EXAMPLES, SettingsError
from rules.policy import CompiledPolicy, PolicyHistory
from schemas.documents import MAX_DOCUMENT_BYTES, read_document
from schemas.mapping import Mapping
from schemas.time import Instant
from streams.knowledge import (
    DirectoryFile,
    Knowledge,
    PolicyFile,
    compile_body,
    digest_of,
    read_directory,
    stored_directory,
    stored_policies,
)
from streams.store import Transaction

__all__ = [
    "SAMPLE_DIRECTORY",
    "SAMPLE_POLICY",
    "DirectoryFile",
    "Knowledge",
    "PolicyFile",
    "compile_body",
    "digest_of",
    "load_directory",
    "load_mapping",
    "load_policy",
    "read_directory",
    "stored_directory",
    "stored_knowledge",
    "stored_policies",
]

SAMPLE_POLICY = EXAMPLES / "policy.yaml"
SAMPLE_DIRECTORY = EXAMPLES / "directory.yaml"


def load_policy(path: Path) -> PolicyFile:
    """Read and compile a policy. Raises DocumentError with every mistake and its line."""
    return compile_body(_bytes(path, "policy"), str(path))


def load_directory(path: Path, policy: CompiledPolicy) -> DirectoryFile:
    """Read a directory and check it against a policy. Raises DocumentError."""
    return read_directory(_bytes(path, "directory"), str(path), policy)


def load_mapping(path: Path) -> Mapping:
    """Read a mapping. Raises DocumentError."""
    return read_document(_bytes(path, "mapping"), str(path), Mapping).value


def stored_knowledge(tx: Transaction) -> Knowledge:
    """What the store was last run with; the samples for a store that was never run.

    Raises DocumentError.
    """
    policies = stored_policies(tx)
    if policies is None:
        sample = load_policy(SAMPLE_POLICY).compiled
        policies = PolicyHistory(((Instant(0), sample),))
    recipients = stored_directory(tx, policies.newest)
    if recipients is None:
        recipients = load_directory(SAMPLE_DIRECTORY, policies.newest).recipients
    return Knowledge(policies, recipients)


def _bytes(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: the {what} cannot be read: {error.strerror}") from None
