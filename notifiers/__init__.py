"""Telling people: the notifier interface, its channels and the rendering of messages."""
