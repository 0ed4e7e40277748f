"""What a process shows of itself: `/health/live`, `/health/ready` and `/metrics`.

- `/health/live`: 200 as long as the process answers. Anything else means: start it anew.
- `/health/ready`: 200, or 503 with the reason why it cannot do its work right now.
- `/metrics`: figures in Prometheus' text format (`streams.metrics`).
"""

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from streams.metrics import CONTENT_TYPE, Metrics

Ready = Callable[[], str | None]
"""Why it cannot do its work right now; None when it can. It answers from memory."""

LIVE, READY, METRICS = "/health/live", "/health/ready", "/metrics"


def metrics_page(metrics: Metrics) -> web.RouteDef:
    """The page for Prometheus, for an application that has the other pages already."""

    async def show(_request: web.Request) -> web.Response:
        page = await asyncio.to_thread(metrics.page)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    return web.get(METRICS, show)


def health_app(metrics: Metrics, ready: Ready) -> web.Application:
    """All three pages, for a process that has no others. They ask for no token."""

    async def live(_request: web.Request) -> web.Response:
        return _json(200, {"live": True})

    async def is_ready(_request: web.Request) -> web.Response:
        why = ready()
        return (
            _json(200, {"ready": True}) if why is None else _json(503, {"ready": False, "why": why})
        )

    app = web.Application()
    app.add_routes([web.get(LIVE, live), web.get(READY, is_ready), metrics_page(metrics)])
    return app


def _json(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(body) + b"\n", content_type="application/json"
    )
