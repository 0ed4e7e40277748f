"""The pure core: facts, conditions, calendars, clocks, folds and report figures."""
