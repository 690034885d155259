"""Answer base class: relays a node's response to the client."""

from abc import abstractmethod

from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.http.status import BAD_REQUEST
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.context import Site
from uwsgi_router.router.proxy.lease import Lease
from uwsgi_router.router.proxy.pump import Pump
from uwsgi_router.router.proxy.route import Route


class SecondTry:
    """Second try of a request, at another node, if the first one begins no answer in time.

    Attributes:
        route: knows other nodes; None: none is asked any more.
        patience: seconds that the first one has.
        moved_on: another node was chosen.
    """

    __slots__ = ("moved_on", "patience", "route")

    def __init__(self, route: Route, patience: float) -> None:
        self.route: Route | None = route
        self.patience = patience
        self.moved_on = False


class Answer:
    """Answer to one attempt: relays the node's response.

    Args:
        site: of the request.
        request: what is answered.
        client: gets the answer.
        lease: of the node, connected.
        back: what it speaks.
        download: reads the node.

    Attributes:
        second_try: at another node, if this one begins no answer in time; None: there is none.
    """

    __slots__ = (
        "back",
        "client",
        "download",
        "lease",
        "link",
        "request",
        "second_try",
        "site",
    )

    def __init__(
        self,
        site: Site,
        request: Request,
        client: Client,
        lease: Lease,
        back: Back,
        download: Pump,
    ) -> None:
        link = download.source
        self.site = site
        self.request = request
        self.client = client
        self.lease = lease
        self.link: Link = link
        self.back = back
        self.download = download
        self.second_try: SecondTry | None = None

    @abstractmethod
    async def relay(self) -> None:
        """Relay the request's body to the node and the answer to the client; ``client.begun`` tells if there was one.

        Raises:
            Failure: the node's answer is none, or none in time, or the client's body is none.
            ClientGone: the client left.
        """

    def stalled(self, count: int) -> Failure:
        """Return whose fault a stall is: the client's, if it does not read or owes its body, or the node's.

        Args:
            count: bytes of the answer that came.
        """
        client, body = self.client, self.client.body
        if client.link.backlog:
            return client.stalled()
        if not body.complete and not self.link.backlog and not count:
            return body.stalled()
        timeout = self.site.limits.timeout
        if not count:
            self.suspect_silence("sends no byte")
        return Failure(
            reasons.STALLED if count else reasons.NO_ANSWER_IN_TIME,
            f"{self.lease.node.name} sent no byte for {timeout:g} s, {count} bytes came before",
            timeout,
        )

    def waits_on(self, fiber: Fiber, count: int) -> bool:
        """Return True if the node is waited for beyond the first byte's time; False: another one was chosen.

        Args:
            fiber: of the request, whose deadline has passed.
            count: bytes of the answer that came.

        Raises:
            Failure: nobody is waited for any more.
        """
        second = self.second_try
        if second is None or second.route is None:
            raise self.stalled(count) from None
        route, second.route = second.route, None
        timeout, late = self.site.limits.timeout, second.patience
        if not count and self.client.body.untouched:
            text = f"sent no byte for {late:g} s (first-byte-timeout)"
            if route.move_on(self.lease.node, text):
                second.moved_on = True
                return False
        fiber.arm(Phase.ANSWER, timeout - late, sliding=True)
        fiber.slides = timeout
        return True

    def suspect_silence(self, what: str) -> None:
        """Log that the node may speak another protocol, if it has never sent a byte."""
        if not self.lease.node.tx:
            self.suspect(what)

    def suspect(self, what: str) -> None:
        """Log that the node may speak another protocol, unless it gets the client's bytes whatever they are."""
        if self.back.packets or self.back.keeps_connections:
            self.site.reporter.speaks_otherwise(self.lease.node, what)

    def suspect_refusal(self, head: ResponseHead) -> None:
        """Log that a uwsgi node may speak HTTP, if all its answers are what HTTP servers say to a packet.

        An application's own 400 does not close the connection; a server's has its name at least. (But gunicorn closes
        it, and adds its name, in uwsgi, too.)
        """
        if head.status != BAD_REQUEST or not head.close or not self.back.packets:
            return
        if head.minor or any(line[:7].lower() == b"server:" for line in head.lines):
            node = self.lease.node
            node.refusals += 1
            # The others that it has now are not answered yet.
            if node.refusals + node.reference - 1 >= node.requests:
                self.suspect("answers every request with 400, as HTTP servers do")

    @property
    def broke(self) -> bool:
        """True if a reset of the node's connection makes an answer incomplete that had no end of its own.

        A node that leaves any byte of a body unread resets by closing; that says nothing about its answer.
        """
        return (
            self.download.error is not None
            and not self.download.complete
            and self.client.body.untouched
        )
