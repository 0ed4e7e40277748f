"""What can go wrong with the store."""


class StoreError(Exception):
    """The store cannot be used as it is; the message says what was found and what helps."""


class SchemaError(StoreError):
    """The database holds tables that this version of Detente must not touch."""


class Unavailable(StoreError):
    """The database is away, locked or full. Nothing was committed; trying again may help."""


class LostRace(Exception):
    """Another transaction changed a row first. Load again and decide again."""
