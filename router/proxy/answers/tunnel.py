"""Tunnels after 101 (Switching Protocols): WebSocket or other bytes, both ways, with half-close and idle timeout."""

from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure, TimedOut
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.body import half_close
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.context import Limits
from uwsgi_router.router.proxy.lease import Lease
from uwsgi_router.router.proxy.pump import Pump


class Tunnel:
    """Tunnel: both directions of a connection that is no HTTP any more.

    Args:
        limits: of the site.
        client: who asked for it.
        lease: of the node.
        link: the node's end.
        download: reads it.
    """

    __slots__ = ("_client", "_download", "_lease", "_limits", "_link", "_upload")

    def __init__(
        self, limits: Limits, client: Client, lease: Lease, link: Link, download: Pump
    ) -> None:
        self._limits = limits
        self._client = client
        self._upload = client.body.pump
        self._lease = lease
        self._link = link
        self._download = download

    async def relay(self, head: ResponseHead) -> None:
        """Pass bytes both ways until both have ended, or nothing has moved for too long.

        Args:
            head: the node's 101.

        Raises:
            ResponseError: the request did not ask for what the node switched to.
            Failure: one side broke the rules of the protocol, or the node reset its connection.
            ClientGone: the client reset its connection.
        """
        client, upload, download = self._client, self._upload, self._download
        fiber = client.fiber
        to_node, to_client = client.upgrade(head)
        client.body.read_client()
        data, _encoder = client.answer_head(head, 0)
        client.begun = True
        client.write(data)
        fiber.arm(Phase.TUNNEL, client.tunnel_timeout, sliding=True)
        download.buffer_limit = 0
        download.attach(client.link, to_client)
        upload.attach(self._link, to_node)
        client.tunnel = self._link
        timed_out = False
        try:
            await self._until_both_end()
        except TimedOut:
            client.send_close(None)
            timed_out = True
        finally:
            client.tunnel = None
            # Whatever ended it, no other request follows.
            if upload.target is not None:
                upload.detach()
            download.finish()
        if timed_out and client.close_sent:
            await client.linger()

    async def _until_both_end(self) -> None:
        client, upload, download, link = self._client, self._upload, self._download, self._link
        fiber = client.fiber
        told_node = told_client = False
        # What the client said last goes out, too; if the node does not take it, the deadline of the end passes.
        while (
            not ((download.ended or download.complete) and (upload.ended or upload.complete))
            or link.backlog
        ):
            self._check()
            if upload.ended and not told_node:
                told_node = True
                half_close(link)
            if download.ended and not told_client:
                told_client = True
                # The client may still have something to say; not for ever.
                link.pause()
                client.write_eof()
                fiber.arm(Phase.TUNNEL_END, self._limits.timeout, sliding=True)
            if (download.ended or download.complete) and upload.target is None:
                # Nobody is there to take what the client still says; it may have to read the rest.
                await client.finish()
                await client.linger()
                return
            await fiber.pause()

    def _check(self) -> None:
        """Check that neither side has broken a rule, nor the node its connection.

        Raises:
            Failure: if so.
        """
        upload, download, name = self._upload, self._download, self._lease.node.name
        for pump, who in ((upload, "the client"), (download, name)):
            if pump.fault is not None:
                by_client = pump is upload
                self._client.send_close(pump.fault, by_client=by_client)
                raise Failure(reasons.BAD_FRAME, f"{who} broke the WebSocket: {pump.fault}")
        if download.error is not None:
            raise Failure(reasons.RESET, f"{name} reset the tunnel")
