"""Refused connections: clients for whom there is no place are told so."""

from typing import Final

from uwsgi_router.router.core.failure import TimedOut
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.connection import Connection, Connections

#: Clients that are told at once; others are closed without a word.
MAX_REFUSED: Final = 64
# What a refused client has sent is read, so that closing does not reset the answer: so much, for so many seconds.
_BYTES: Final = 64 * 1024
_SECONDS: Final = 1.0


class RefusedConnection(Connection):
    """Connection that is one too many: gets an answer that says so.

    Args:
        connections: as for any connection, as are link, peer and number.
        answer: in the client's protocol.
    """

    __slots__ = ("_answer",)

    def __init__(
        self,
        connections: Connections,
        link: Link,
        peer: Peer,
        number: int,
        answer: bytes,
    ) -> None:
        Connection.__init__(self, connections, link, peer, number, _SECONDS)
        self._answer = answer
        connections.refused += 1

    async def serve(self) -> None:
        """Send the answer, and wait a moment for the client to end."""
        link, fiber = self.link, self.fiber
        fiber.phase = Phase.LINGER
        left = _BYTES
        try:
            link.write(self._answer)
            link.write_eof()
            link.read_with(self)
            while left > 0:
                skipped = link.skip(left)
                if skipped is None:
                    await fiber.pause()
                elif skipped:
                    left -= skipped
                else:
                    break
        except (OSError, TimedOut):
            pass

    def ended(self, error: BaseException | None) -> None:
        """Release everything."""
        self.connections.refused -= 1
        super().ended(error)
