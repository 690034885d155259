"""Reader of a link."""

from abc import abstractmethod


class Reader:
    """Reader of a link, told when there is something to read."""

    __slots__ = ()

    @abstractmethod
    def readable(self) -> None:
        """Read: bytes, the end, or an error are there. A call for nothing is possible."""
