"""TLS sessions of nodes: what a node has told once makes further handshakes with it shorter (RFC 8446 section 2.2).

Of each node one session is offered again and again. Python's ssl copies a session, certificate and all, whenever it is
asked for one, which costs as much as a resumed handshake saves; one that is taken every five minutes costs nothing.
"""

import ssl
from typing import Final

#: Seconds for which a session is offered. Then the node has to show its certificate again.
LIFETIME: Final = 300.0
#: Seconds until another one is taken, if the node did not want one back: it may never do.
AGAIN: Final = 60.0
#: Nodes whose sessions are kept, 3 KB each.
CAPACITY: Final = 1_000


class NodeSession:
    """Session of one node, if there is one."""

    __slots__ = ("_session", "_until")

    def __init__(self) -> None:
        self._session: ssl.SSLSession | None = None
        # When it ends; or, if there is none, when one may be taken.
        self._until = 0.0

    def offer(self, now: float) -> ssl.SSLSession | None:
        """Return what the next handshake may go on with.

        Args:
            now: the loop's seconds.
        """
        if self._session is not None and now >= self._until:
            self._session = None
        return self._session

    def refused(self, now: float) -> None:
        """Note that the node did not go on with what it was offered."""
        self._session = None
        self._until = now + AGAIN

    def note(self, tls: ssl.SSLSocket, now: float) -> None:
        """Take the session of a connection, if one is wanted; the node has answered: tickets come with an answer."""
        if self._session is not None or now < self._until:
            return
        self._until = now + LIFETIME
        session = tls.session
        if session is not None and (session.has_ticket or tls.version() == "TLSv1.2"):
            self._session = session


class NodeSessions:
    """Sessions of the nodes of one context.

    Args:
        capacity: nodes at once; the first one goes.
    """

    __slots__ = ("_capacity", "_sessions")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._sessions: dict[tuple[str, str | None], NodeSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, address: str, name: str | None) -> NodeSession:
        """Return the session of a node.

        Args:
            address: of the node.
            name: that its certificate has: what was verified for one name is worth nothing for another.
        """
        session = self._sessions.get((address, name))
        if session is None:
            if len(self._sessions) >= self._capacity:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[address, name] = NodeSession()
        return session
