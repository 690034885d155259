"""Errors that are found before anything is announced."""


class SubscribeError(ValueError):
    """Error of parameters or environment: nothing can be announced; ``str()`` is one sentence for the user."""
