"""Counters of one router: requests, failures, bytes, retries, as plain ints.

Per-key and per-node numbers live where they arise, in the pools and nodes of the table; here is
only what belongs to the router as a whole. All of them only grow, except what is said to be so now.
"""

from collections import defaultdict

from uwsgi_router.subscriptions.traffic import Traffic


class Counters:
    """Counters since the router started.

    At rest ``requests == completed + client_aborts + sum(failed.values())``; while it runs the
    difference is what is in flight, so an operator can tell a request that failed from one that its
    client gave up.
    """

    __slots__ = (
        "accept_errors",
        "client_aborts",
        "clients",
        "completed",
        "elsewhere",
        "failed",
        "handshakes",
        "handshakes_failed",
        "handshakes_resumed",
        "held",
        "holding",
        "idle_closed",
        "lost_datagrams",
        "queued",
        "queueing",
        "refused_connections",
        "refused_datagrams",
        "refused_packets",
        "requests",
        "resent",
        "retries",
        "retries_refused",
        "spilled",
        "spooled_bytes",
    )

    def __init__(self) -> None:
        self.requests = 0
        """Requests whose head was read whole and understood; over HTTP also those that were refused."""
        self.completed = 0
        """Requests whose answer was delivered whole, whatever its status."""
        self.failed: defaultdict[str, int] = defaultdict(int)
        """Requests that got no whole answer, by the reason that the log line gives. Only the
        reasons' words may be keys (they become label values), never anything a peer sent."""
        self.client_aborts = 0
        """Requests whose client went away before the answer was whole."""
        self.retries = 0
        """Connects tried after an earlier one for the same request had failed."""
        self.retries_refused = 0
        """Requests that asked no further node because so many do so already (``retry-budget``)."""
        self.resent = 0
        """Requests sent a second time because a node's connection ended without an answer."""
        self.held = 0
        """Requests that ever waited for a node of their key (``hold``)."""
        self.holding = 0
        """Requests that wait for one now."""
        self.queued = 0
        """Requests that ever waited for a connection of an HTTP node to become free."""
        self.queueing = 0
        """Requests that wait for one now."""
        self.refused_packets = 0
        """Connections to a fastrouter closed because what they sent is no acceptable request; over
        HTTP such a request is answered, and counted among the failed ones."""
        self.refused_datagrams = 0
        """Announces that were not understood, or that the table had no place for."""
        self.spooled_bytes = 0
        """Bytes of bodies that are read whole and are in memory now."""
        self.spilled = 0
        """Bodies that went to a file, small as they are, because others filled the memory for bodies."""
        self.lost_datagrams = 0
        """Datagrams for the subscription servers that the kernel had no room for."""
        self.clients = Traffic()
        """Bytes read from and written to clients."""
        self.refused_connections: defaultdict[str, int] = defaultdict(int)
        """Connections that were refused, by the option that limits them (without its prefix)."""
        self.idle_closed = 0
        """Idle clients whose connections were closed to make room for others."""
        self.handshakes: defaultdict[str, int] = defaultdict(int)
        """TLS handshakes that succeeded, by the version of TLS."""
        self.handshakes_resumed = 0
        """Those of them that went on with the session of an earlier connection."""
        self.handshakes_failed: defaultdict[str, int] = defaultdict(int)
        """TLS handshakes that failed, by a word of :mod:`uwsgi_router.router.proxy.handshake`."""
        self.accept_errors = 0
        """Failed accepts: nearly always a limit on descriptors (EMFILE, ENFILE)."""
        self.elsewhere = 0
        """Requests that other processes have counted as begun, and not as ended; with those that were lost with one."""

    @property
    def running(self) -> int:
        """Requests that are under way now, in this process."""
        ended = self.completed + self.client_aborts + sum(self.failed.values())
        return self.requests - ended - self.elsewhere

    @property
    def bytes_received(self) -> int:
        """Bytes read from clients."""
        return self.clients.tx

    @property
    def bytes_sent(self) -> int:
        """Bytes written to clients."""
        return self.clients.rx
