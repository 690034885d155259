"""Raw answers: bytes pass both ways unparsed until the node ends its connection."""

from typing import Final

from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.response import parse_response
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.answers.answer import Answer
from uwsgi_router.router.proxy.body import Body
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.context import Site
from uwsgi_router.router.proxy.directions import Download
from uwsgi_router.router.proxy.lease import Lease

_ANSWER: Final = Phase.ANSWER


class RawDownload(Download):
    """Pump of an answer that passes as it comes.

    Args:
        source: the node's link.
        fiber: woken when the owner has to look.
        chunk: bytes read at once.
        body: of the request.

    Attributes:
        refusal: the first bytes of the answer, if they look like a 400.
    """

    __slots__ = ("_body", "refusal")

    def __init__(self, source: Link, fiber: Fiber, chunk: int, body: Body) -> None:
        Download.__init__(self, source, fiber, chunk)
        self._body = body
        self.refusal = b""

    def _pass_on(self, data: bytes) -> None:
        if self.count == len(data):
            status = data[9:12]
            if status == b"400":
                self.refusal = data
            elif not b"200" <= status < b"600":
                # A 101, or no answer of HTTP's: the client may have something to say to it.
                self._body.read_client()
        super()._pass_on(data)


class RawAnswer(Answer):
    """Answer of unknown form, which ends with the node's connection."""

    __slots__ = ("_raw",)

    def __init__(
        self,
        site: Site,
        request: Request,
        client: Client,
        lease: Lease,
        back: Back,
        download: RawDownload,
    ) -> None:
        Answer.__init__(self, site, request, client, lease, back, download)
        self._raw = download

    async def relay(self) -> None:
        """Relay both ways until the node has ended its answer."""
        client, download = self.client, self._raw
        body, fiber = client.body, download.fiber
        second = self.second_try
        patience = self.site.limits.timeout if second is None else second.patience
        fiber.arm(_ANSWER, patience, sliding=True)
        download.start_passing(client.link)
        body.send_to(self.link, self.back, opaque=True)
        try:
            while not download.ended:
                body.advance()
                try:
                    await fiber.pause()
                except TimedOut:
                    if not self.waits_on(fiber, download.count):
                        return
        finally:
            client.begun = download.count > 0
        if download.refusal:
            self._look_at(download.refusal)

    def _look_at(self, refusal: bytes) -> None:
        """Look whether a 400 is what an HTTP server says to a packet."""
        try:
            head = parse_response(refusal, cgi=True)
        except ResponseError:
            return
        if head is not None:
            self.suspect_refusal(head)
