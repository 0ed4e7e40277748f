"""Opening and migrating a store on a PostgreSQL server, and what happens when it is away."""

import threading

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine

from rules.decision import Changes
from streams.store import SchemaError, Store, StoreError, Unavailable, migrate
from streams.store.engines import parse_url
from streams.store.schema import NEWEST
from streams.store.tables import metadata
from tests.contract.rows import subject, write
from tests.rigs.postgres import PostgresServer, libpq


def run(url: str, statement: sql.SQL) -> list[tuple[object, ...]]:
    with psycopg.connect(libpq(url), autocommit=True) as connection:
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


_INDEXES = sql.SQL(
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' "
    "AND tablename != 'alembic_version' ORDER BY indexdef"
)


def test_migrations_end_in_the_tables_that_the_code_knows(
    postgres_server: PostgresServer, empty_postgres_url: str
) -> None:
    migrate(empty_postgres_url)
    migrate(empty_postgres_url)
    engine = create_engine(parse_url(empty_postgres_url))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()
    # The comparison above does not look into the conditions of partial indexes; the text does.
    with postgres_server.database() as made:
        engine = create_engine(parse_url(made))
        try:
            metadata.create_all(engine)
        finally:
            engine.dispose()
        assert run(empty_postgres_url, _INDEXES) == run(made, _INDEXES)


def test_several_may_make_the_tables_at_once(empty_postgres_url: str) -> None:
    failed: list[Exception] = []

    def make() -> None:
        try:
            migrate(empty_postgres_url)
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with Store.open(empty_postgres_url, create=False) as store:
        assert store.schema_version() == NEWEST


def test_an_empty_database_is_refused_until_it_is_migrated(empty_postgres_url: str) -> None:
    with pytest.raises(SchemaError, match="is empty; `detente migrate`"):
        Store.open(empty_postgres_url, create=False)
    with Store.open(empty_postgres_url) as store:
        assert store.schema_version() == NEWEST


def test_a_schema_from_the_future_is_refused_and_left_alone(empty_postgres_url: str) -> None:
    migrate(empty_postgres_url)
    run(empty_postgres_url, sql.SQL("UPDATE alembic_version SET version_num = '9999'"))
    for open_it in (Store.open, migrate):
        with pytest.raises(SchemaError, match="9999, which this Detente does not know"):
            open_it(empty_postgres_url)


def test_the_database_of_another_program_is_refused(empty_postgres_url: str) -> None:
    run(empty_postgres_url, sql.SQL("CREATE TABLE customer (id int)"))
    for open_it in (Store.open, migrate):
        with pytest.raises(SchemaError, match="tables that Detente did not make"):
            open_it(empty_postgres_url)


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    with pytest.raises(Unavailable, match="cannot be used now") as caught:
        Store.open("postgresql://me:secret@127.0.0.1:1/detente")
    assert "secret" not in str(caught.value)


def test_a_url_without_a_database_is_refused() -> None:
    with pytest.raises(StoreError, match="names no database"):
        Store.open("postgresql://me@127.0.0.1")


def write_and_be_cut(store: Store, url: str) -> None:
    cut = sql.SQL(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid != pg_backend_pid()"
    )
    with store.transaction() as tx:
        tx.write(Changes(subjects=[subject("a")]))
        run(url, cut)
        tx.subject("a")


def test_a_connection_that_is_cut_undoes_its_transaction_and_the_next_one_works(
    postgres_url: str,
) -> None:
    with Store.open(postgres_url) as store:
        with pytest.raises(Unavailable):
            write_and_be_cut(store, postgres_url)
        write(store, subjects=[subject("b")])
        with store.reading() as tx:
            assert tx.load_subjects(["a", "b"]).keys() == {"b"}


def test_a_server_that_stopped_is_used_again_when_it_is_back(
    postgres_to_stop: PostgresServer, url_to_stop: str
) -> None:
    with Store.open(url_to_stop) as store:
        write(store, subjects=[subject("a")])
        postgres_to_stop.stop()
        try:
            with pytest.raises(Unavailable):
                write(store, subjects=[subject("b")])
            with pytest.raises(Unavailable), store.reading():
                pass
        finally:
            postgres_to_stop.start()
        write(store, subjects=[subject("c")])
        with store.reading() as tx:
            assert tx.load_subjects(["a", "b", "c"]).keys() == {"a", "c"}
