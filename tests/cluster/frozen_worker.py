"""A worker as `detente worker` runs it, on a clock that stands still: what it decides compares."""

import sys

import faust

from schemas.time import Instant
from streams.app import create_app
from streams.logs import set_up_logs

if __name__ == "__main__":
    now = Instant(int(sys.argv[1]))
    set_up_logs(json=False, level="INFO", secrets=frozenset())
    worker = faust.Worker(create_app(clock=lambda: now), override_logging=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()
