"""`detente token`: who may send events from other machines."""

import click

from detente.output import RefusedError, json_option, print_json, print_table, remark, say
from detente.settings import db_option, read_settings


@click.group()
def token() -> None:
    """Who may send events from other machines.

    A sender shows its token with each request: Authorization: Bearer TOKEN. Without any token,
    only programs on this machine can send; as soon as there is one, everybody needs one.
    """


@token.command()
@click.argument("name")
@db_option
@json_option
def create(name: str, *, db: str | None, as_json: bool) -> None:
    """Make a token for NAME, such as the system that will use it.

    It is shown once. Only a fingerprint of it is kept.

    \b
    detente token create erp
    """
    from detente.embedded import wall_clock
    from streams.store import Store
    from streams.tokens import generate_token, hash_token

    fresh = generate_token()
    with Store.open(read_settings({"db": db}).db) as store, store.transaction() as tx:
        token_id = tx.add_token(hash_token(fresh), name, wall_clock())
    if as_json:
        print_json({"id": token_id, "name": name, "token": fresh})
        return
    say(fresh)
    remark(f"This is token {token_id}, for {name}. It is not shown again; a running service")
    remark("accepts it within a few seconds.")


@token.command("list")
@db_option
@json_option
def list_tokens(*, db: str | None, as_json: bool) -> None:
    """List the tokens, revoked ones too. They themselves are not kept and not shown.

    \b
    detente token list
    """
    from streams.store import Store

    with (
        Store.open(read_settings({"db": db}).db, create=False) as store,
        store.reading() as tx,
    ):
        tokens = [
            {
                "id": t.id,
                "name": t.name,
                "created_at": _seconds(t.created_at),
                "revoked_at": None if t.revoked_at is None else _seconds(t.revoked_at),
            }
            for t in tx.tokens()
        ]
    if as_json:
        print_json({"tokens": tokens})
        return
    rows = [list(t.values()) for t in tokens]
    print_table(["id", "name", "made", "revoked"], rows, empty="There are no tokens.")


@token.command()
@click.argument("token_id", metavar="ID", type=int)
@db_option
def revoke(token_id: int, *, db: str | None) -> None:
    """Take the token with this ID back. `detente token list` shows the ids.

    \b
    detente token revoke 1
    """
    from detente.embedded import wall_clock
    from streams.store import Store

    with (
        Store.open(read_settings({"db": db}).db, create=False) as store,
        store.transaction() as tx,
    ):
        if not tx.revoke_token(token_id, wall_clock()):
            raise RefusedError(
                f"there is no token {token_id} that still counts; see: detente token list"
            )
    say(f"Token {token_id} is revoked; a running service refuses it within a few seconds.")


def _seconds(at: int) -> str:
    from schemas.time import SECOND, iso

    return iso(at // SECOND * SECOND)
