"""What goes wrong before anything is announced."""


class SubscribeError(ValueError):
    """Nothing can be announced like this; ``str()`` is the one sentence for the user."""
