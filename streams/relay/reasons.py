"""Why something is not told, or not now. Each reason is shown in the story of the case."""

from enum import StrEnum

#: Begins the record of an alert that took a further route because nobody had acknowledged it.
HANDED_OVER = "handed over"


class Reason(StrEnum):
    """A named reason; its value is what people read."""

    # Never told:
    ACKNOWLEDGED = "already acknowledged"
    RESOLVED = "already resolved"
    RETRACTED = "retracted"
    OVERTAKEN = "overtaken by a newer step"
    NOBODY_KNEW = "nobody had been told of the case"
    OWN_CHANGE = "their own change"
    SILENTLY = "shown where the case stands, and told to nobody"
    PUT_RIGHT = "told elsewhere; what stands here was put right"
    ALREADY_TOLD = "told of the same step in another role"
    NO_ROUTE = "no longer to be reached"
    NO_STAND_IN = "nobody stands in"
    NO_OTHER_ROUTE = "no other route is left"
    REPLAY = "a replay tells nobody"

    # Told later:
    QUIET_HOURS = "quiet hours"
    BUNDLING = "to be told together with others"
    BACKING_OFF = "to be tried again"
    ROUTE_BUSY = "the route asked to wait"

    # Kept as a dead letter:
    NOBODY_HOME = "nobody can be told"
    UNREACHABLE = "every route failed"
