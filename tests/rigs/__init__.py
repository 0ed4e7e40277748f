"""Real servers that the tests start themselves, on loopback ports, and stop again."""
