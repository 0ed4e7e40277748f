"""Ports that nothing listens at."""

import socket
from contextlib import closing


def free_port() -> int:
    """A loopback port that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
