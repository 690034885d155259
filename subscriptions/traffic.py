"""Traffic counters of a peer: bytes read and written, counted where that happens."""


class Traffic:
    """Traffic counters of one peer, from its own point of view.

    Attributes:
        rx: bytes written to it.
        tx: bytes read from it.
    """

    __slots__ = ("rx", "tx")

    def __init__(self) -> None:
        self.rx = 0
        self.tx = 0
