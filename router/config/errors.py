"""The process as the system sees it: limits, identity, signals, its pid file and its name."""


class StartError(Exception):
    """The program cannot start as configured; ``str()`` is the one line for the operator."""
