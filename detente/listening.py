"""Where a process listens, and whom it lets in."""

from aiohttp import web

from detente.failures import AddressError
from streams.intake import HttpServer, start_server
from streams.store import Transaction
from streams.tokens import StoredToken


async def listen(app: web.Application, host: str, port: int, grace: float) -> HttpServer:
    """Serve the pages. `grace` is the seconds that requests get at the end.

    Raises AddressError.
    """
    try:
        return await start_server(app, host, port, grace=grace)
    except OSError as error:
        raise AddressError(error.strerror) from None


def url(host: str, server: HttpServer) -> str:
    """The address of a server that listens at this host, as a program takes it."""
    shown = host if ":" not in host else f"[{host.strip('[]')}]"
    return f"http://{shown}:{server.port}"


def known_tokens(tx: Transaction) -> tuple[StoredToken, ...]:
    """The tokens that were made, revoked ones too."""
    return tuple(StoredToken(t.name, t.hash, t.created_at, t.revoked_at) for t in tx.tokens())
