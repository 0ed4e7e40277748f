"""Locks that a frozen process would keep from others."""

import threading

import psycopg
from psycopg import sql

from streams.cluster.presence import Presence
from tests.rigs.postgres import libpq

_MOVE = 'UPDATE position SET "offset" = "offset" + 1'
_WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND datname = current_database()"
)
_LOCKED = "SELECT count(*) FROM pg_locks WHERE relation = 'position'::regclass AND pid = {}"


def test_a_transaction_that_gives_no_sign_is_ended_once_others_wait(postgres_url: str) -> None:
    address = libpq(postgres_url)
    me = Presence(postgres_url)
    me.enter()
    done, never = threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with psycopg.connect(address) as other:
            other.execute(_MOVE)
        done.set()

    with psycopg.connect(address, autocommit=True) as look, psycopg.connect(address) as frozen:
        look.execute("INSERT INTO position (input, partition, \"offset\") VALUES ('orders', 0, 0)")
        # Frozen in the middle of a pipeline, where the server does not count it as idle.
        still = frozen.pgconn
        still.enter_pipeline_mode()
        for statement in ("BEGIN", _MOVE):
            still.send_query_params(statement.encode(), [])
        still.send_flush_request()
        still.flush()
        locked = sql.SQL(_LOCKED).format(still.backend_pid)
        while look.execute(locked).fetchone() == (0,):
            never.wait(0.01)
        assert me.end_frozen(0) == 0  # nobody waits
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        while look.execute(_WAITS).fetchone() == (0,):
            never.wait(0.01)
        assert me.end_frozen(60) == 0  # it may still give a sign
        assert me.end_frozen(0) == 1
        assert done.wait(60)
        thread.join()
        frozen.close()
    me.leave()
