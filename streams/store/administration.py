"""Versions of policy and directory, tokens, and what else the store remembers of its service."""

from sqlalchemy import Table, delete, select, update

from schemas.time import Instant
from streams.store.queries import Queries, values
from streams.store.rows import Token, Version
from streams.store.tables import directory, policy, setting, token


class AdministrationQueries(Queries):
    """Statements about what the service was run with."""

    def policies(self) -> list[Version]:
        """Every version of the policy, in order of activation."""
        return self._versions(policy)

    def add_policy(
        self, digest: str, body: bytes, active_from: Instant, recorded_at: Instant
    ) -> bool:
        """Keep a version of the policy. False when this very activation is known already."""
        return self._add_version(policy, Version(digest, body, active_from, recorded_at))

    def directories(self) -> list[Version]:
        """Every version of the directory, in order of activation."""
        return self._versions(directory)

    def add_directory(
        self, digest: str, body: bytes, active_from: Instant, recorded_at: Instant
    ) -> bool:
        """Keep a version of the directory. False when this very activation is known already."""
        return self._add_version(directory, Version(digest, body, active_from, recorded_at))

    def tokens(self) -> list[Token]:
        """All tokens, revoked ones too, in order of creation."""
        rows = self.connection.execute(select(token).order_by(token.c.id))
        return [Token(**row) for row in rows.mappings()]

    def token_by_hash(self, digest: str) -> Token | None:
        """The token with this hash, revoked or not."""
        row = (
            self.connection.execute(select(token).where(token.c.hash == digest))
            .mappings()
            .one_or_none()
        )
        return None if row is None else Token(**row)

    def add_token(self, digest: str, name: str, created_at: Instant) -> int:
        """Store a token's hash. Returns its id."""
        new = {"hash": digest, "name": name, "created_at": created_at}
        statement = token.insert().values(new).returning(token.c.id)
        token_id: int = self.connection.execute(statement).scalar_one()
        return token_id

    def revoke_token(self, token_id: int, at: Instant) -> bool:
        """Revoke a token. False when there is no such token that still counts."""
        live = update(token).where(token.c.id == token_id, token.c.revoked_at.is_(None))
        return self.connection.execute(live.values(revoked_at=at)).rowcount == 1

    def setting(self, key: str) -> str | None:
        """What was last put under a key, e.g. the service's latest sign of life."""
        query = select(setting.c.value).where(setting.c.key == key)
        return self.connection.execute(query).scalar_one_or_none()

    def settings(self, prefix: str) -> dict[str, str]:
        """What was put under the keys that begin so, by the rest of the key."""
        key = setting.c.key
        query = select(key, setting.c.value).where(key.startswith(prefix, autoescape=True))
        rows = self.connection.execute(query)
        return {row.key.removeprefix(prefix): row.value for row in rows}

    def drop_setting(self, key: str) -> bool:
        """Forget what was put under a key. False when nothing was."""
        gone = self.connection.execute(delete(setting).where(setting.c.key == key))
        return gone.rowcount == 1

    def put_setting(self, key: str, value: str) -> None:
        """Remember a value under a key."""
        self.upsert(setting, [{"key": key, "value": value}])

    def _versions(self, table: Table) -> list[Version]:
        rows = self.connection.execute(
            select(table).order_by(table.c.active_from, table.c.recorded_at, table.c.hash)
        )
        return [Version(**row) for row in rows.mappings()]

    def _add_version(self, table: Table, version: Version) -> bool:
        added = self.insert(table).on_conflict_do_nothing()
        return self.count(added, [values(version)]) == 1
