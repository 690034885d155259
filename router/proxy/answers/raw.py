"""Raw answers: bytes pass both ways unparsed until the node ends its connection."""

from typing import Final

from uwsgi_router.router.core.failure import TimedOut
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.proxy.answers.answer import Answer

_ANSWER: Final = Phase.ANSWER


class RawAnswer(Answer):
    """Answer of unknown form, which ends with the node's connection."""

    __slots__ = ()

    async def relay(self) -> None:
        """Relay both ways until the node has ended its answer."""
        client, download = self.client, self.download
        body, fiber = client.body, download.fiber
        fiber.arm(_ANSWER, self.site.limits.timeout, sliding=True)
        download.start_passing(client.link)
        body.send_to(self.link, self.back, opaque=True)
        try:
            while not download.ended:
                body.advance()
                await fiber.pause()
        except TimedOut:
            raise self.stalled(download.count) from None
        finally:
            client.begun = download.count > 0
        if self.back.may_say_nothing and download.error is None:
            client.begun = True
