"""The libraries that are timed, each a process of its own that speaks `protocol`."""
