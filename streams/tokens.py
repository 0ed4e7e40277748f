"""Bearer tokens: who may send events to a service that others can reach."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from schemas.time import Instant

_PREFIX = "detente_"  # so that scanners of leaked secrets, and people, see what it is


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What is kept of a token. The token itself cannot be had from it."""

    name: str
    """Whom or what it was given to."""
    digest: str
    """As `hash_token` makes it."""
    created_at: Instant
    revoked_at: Instant | None = None


class Denied(Enum):
    """Why a presented token is not good."""

    UNKNOWN = auto()
    REVOKED = auto()


def generate_token() -> str:
    """A new token with 256 random bits. It is shown once and kept nowhere."""
    return _PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """The token's SHA-256 in hex.

    A slow hash protects passwords that can be guessed; 256 random bits cannot, and a slow one
    would let anybody keep the service busy with wrong tokens.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def verify_token(presented: str, stored: Iterable[StoredToken]) -> StoredToken | Denied:
    """The stored token that was presented, or why it is denied.

    Takes as long whichever token matches, and however well a wrong one does.
    """
    digest = hash_token(presented)
    found: StoredToken | Denied = Denied.UNKNOWN
    for token in stored:
        if hmac.compare_digest(token.digest, digest):
            found = token if token.revoked_at is None else Denied.REVOKED
    return found
