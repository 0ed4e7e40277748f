"""What can go wrong with the store."""


class StoreError(Exception):
    """The store cannot be used as it is; the message says what was found and what helps."""


class SchemaError(StoreError):
    """The database holds tables that this version of Detente must not touch."""


class Unavailable(StoreError):  # noqa: N818 - it says how the store is
    """The database is away, locked or full. Nothing was committed; trying again may help."""


class LostRace(Exception):  # noqa: N818 - an expected outcome, not an error
    """Another transaction changed a row first. Load again and decide again."""
