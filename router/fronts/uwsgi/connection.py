"""A client that speaks uwsgi: one request per connection, bytes behind it pass as they come (fastrouter)."""

import socket
from typing import TYPE_CHECKING

from uwsgi_router.protocol.http.body import Counted, Encoder, Identity, Recoder
from uwsgi_router.protocol.http.errors import ResponseError
from uwsgi_router.protocol.http.response import ResponseHead
from uwsgi_router.protocol.uwsgi import PacketError
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.fronts.uwsgi.front import Ping, UwsgiFront, UwsgiRequest
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.proxy.collect import collect
from uwsgi_router.router.proxy.delivery import report
from uwsgi_router.router.proxy.exchange import Session, early_limit
from uwsgi_router.router.proxy.pump import Feeder, Upload

if TYPE_CHECKING:
    from uwsgi_router.router.app.gateway import Gateway


class UwsgiSession(Session):
    """One connection of a web server."""

    __slots__ = ("_data", "_front")

    def __init__(
        self,
        gateway: "Gateway",
        front: UwsgiFront,
        sock: socket.SocketType,
        peer: Peer,
        number: int,
    ) -> None:
        super().__init__(gateway, sock, peer, number, gateway.config.timeout)
        self._front = front
        self._data = b""

    async def talk(self) -> None:
        """Read the request and serve it."""
        gateway, failure = self.gateway, None
        try:
            # The deadline is absolute, so that nobody can trickle for ever.
            while (request := self._read_request()) is None:
                await self.pause()
            await self.answer(request)
        except TimedOut:
            gateway.refused(self.peer[0], f"no whole request within {gateway.config.timeout:g} s")
        except Ping as ping:
            self.client.write(ping.answer)
        except PacketError as error:
            gateway.refused(self.peer[0], str(error))
        except Failure as exc:
            failure = exc
        if failure is not None:
            # Well-formed, but without a key: counted like any other request that failed.
            gateway.counters.requests += 1
            await report(self, failure)

    def _read_request(self) -> UwsgiRequest | None:
        """Return the request, None as long as it has not come whole.

        Raises:
            ClientGone: the client left without a word.
            PacketError: what came is no request; or :class:`Ping`, which asks for something else.
            Failure: it is one that nobody can serve.
        """
        while (more := self.receive_now(self.gateway.config.buffer_size)) is not None:
            if not more:
                if self._data:
                    raise PacketError(f"it ended after {len(self._data)} bytes, inside the packet")
                raise ClientGone
            self._data += more
            request = self._front.parse(self._data, self.peer[0])
            if request is not None:
                self._data = b""
                return request
        return None

    def begin_upload(self, request: Request) -> bool:
        """Let the body flow; with post-buffering it is collected."""
        assert isinstance(request, UwsgiRequest)
        config = self.gateway.config
        upload = self.upload = Upload(
            self.client, self, config.buffer_size, early_limit=early_limit(request)
        )
        upload.start(request.rest)
        return bool(config.post_buffering and request.content_length)

    async def collect(self, request: Request) -> None:
        """Read the body whole."""
        self.spool = await collect(
            self, _counted(request.content_length), self.gateway.config.post_buffering
        )

    @property
    def uploaded(self) -> bool:
        """True if all bytes of the body have come."""
        request, upload = self.request, self.upload
        return request is not None and upload is not None and upload.count >= request.content_length

    @property
    def missing(self) -> str:
        """How many bytes have not."""
        request, upload = self.request, self.upload
        assert request is not None
        assert upload is not None
        return f"{request.content_length - upload.count} bytes are missing"

    def upload_feeder(self, request: Request, back: Back) -> Feeder | None:
        """To uwsgi nodes pass everything; to others exactly the body, for what follows would be another request."""
        return _counted(request.content_length) if back.keeps_connections else None

    @property
    def sent_only_its_head(self) -> bool:
        """True if nothing came behind the packet."""
        return self.upload is None or not self.upload.count

    # --- answers of nodes that speak HTTP ---

    def begin_answer(self, head: ResponseHead, length: int | None) -> tuple[bytes, Encoder | None]:
        """Return the head without framing: web servers do not decode chunks here, and read to the end."""
        return self._front.response_head(head, length), None

    def send_interim(self, head: ResponseHead) -> None:
        """Nothing: web servers take the first head for the final one."""

    def send_continue(self) -> None:
        """Nothing: the web server has said so."""

    def buffered_of(self, head: ResponseHead) -> int:  # noqa: ARG002
        """Nothing beyond what is in flight: the web server in front buffers."""
        return 0

    def tunnel_feeders(
        self,
        request: Request,
        head: ResponseHead,  # noqa: ARG002
    ) -> tuple[Feeder | None, Feeder | None]:
        """Bytes pass as they come."""
        if not request.tunnel:
            raise ResponseError("it switches protocols, and was not asked to")
        return None, None

    @property
    def tunnel_timeout(self) -> float:
        """Seconds of silence that end a tunnel: the web server in front has a limit of its own."""
        return self.gateway.config.timeout

    def error_answer(self, failure: Failure) -> bytes:
        """Return an answer that the web server passes on."""
        return self._front.answer(failure, self.id)


def _counted(length: int) -> Recoder:
    return Recoder(Counted(length), Identity())
