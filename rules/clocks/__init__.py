"""Clocks: running instances of what was promised, as pure functions of what happened.

Nothing here counts up. A clock is worked out anew, whenever somebody asks, from the intervals
between events: what started it, what stopped it, which time in between did not count, and which
commitment was in force when. So duplicates, disorder and corrections change nothing that they
should not, and the answer for a past instant is the one that was true then.
"""
