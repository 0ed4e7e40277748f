"""The shell that moves data: intake, store, deadlines, relay and the runtimes."""
