"""Bearer tokens."""

from schemas.time import Instant
from streams.tokens import Denied, StoredToken, generate_token, hash_token, verify_token


def stored(name: str, token: str, revoked_at: int | None = None) -> StoredToken:
    revoked = None if revoked_at is None else Instant(revoked_at)
    return StoredToken(name, hash_token(token), Instant(0), revoked)


def test_each_of_several_tokens_is_good_until_revoked() -> None:
    first, second, third = (generate_token() for _ in range(3))
    known = [stored("erp", first), stored("helpdesk", second, revoked_at=5), stored("wms", third)]
    assert verify_token(first, known) == known[0]
    assert verify_token(second, known) is Denied.REVOKED
    assert verify_token(third, known) == known[2]
    assert verify_token(generate_token(), known) is Denied.UNKNOWN
    assert verify_token("", known) is Denied.UNKNOWN
    assert verify_token(first, []) is Denied.UNKNOWN
    assert verify_token("\udcff", known) is Denied.UNKNOWN


def test_the_token_cannot_be_read_from_what_is_stored() -> None:
    token = generate_token()
    assert token not in repr(stored("erp", token))
    assert len(token) > 43
    assert generate_token() != token
    assert verify_token(hash_token(token), [stored("erp", token)]) is Denied.UNKNOWN
