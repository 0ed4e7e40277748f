"""Detente notices partner conflicts and walks each one up until a person owns it."""
