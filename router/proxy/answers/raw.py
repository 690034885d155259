"""Raw answers: nobody looks at them, bytes pass both ways until the node ends its connection."""

from typing import Final

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.proxy.answers.answer import Answer
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.context import Site
from uwsgi_router.router.proxy.lease import Lease
from uwsgi_router.router.proxy.pump import Download

_ANSWER: Final = Phase.ANSWER


class RawAnswer(Answer):
    """An answer of unknown form, which ends with the node's connection."""

    __slots__ = ()

    def __init__(
        self, site: Site, request: Request, client: Client, lease: Lease, back: Back
    ) -> None:
        link = lease.link
        assert link is not None
        download = Download(link, client.fiber, site.limits.buffer_size)
        super().__init__(site, request, client, lease, back, download)

    async def relay(self) -> None:
        """Relay both ways until the node has ended its answer."""
        client, download, fiber = self.client, self.download, self.fiber
        body = client.body
        fiber.arm(_ANSWER, self.site.limits.timeout, sliding=True)
        download.attach(client.link)
        download.start()
        body.send_to(self.link, self.back, opaque=True)
        try:
            while not download.ended:
                body.advance()
                await fiber.pause()
        except TimedOut:
            client.begun = bool(download.count)
            raise self.stalled(download.count) from None
        client.begun = bool(download.count)
