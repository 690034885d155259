"""Error of a start that is refused."""


class StartError(Exception):
    """The program cannot start as configured; ``str()`` is the one line for the operator."""
