"""Relays: bytes of any protocol pass both ways until both ends have said all they will."""

from math import inf
from typing import Final

from uwsgi_router.protocol.xclient import GreetingError, greeting_size, welcomes, xclient
from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.fiber import Phase
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.answers.answer import Answer
from uwsgi_router.router.proxy.body import half_close
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.connection import LINGER_TOTAL
from uwsgi_router.router.proxy.context import Site
from uwsgi_router.router.proxy.directions import Answers
from uwsgi_router.router.proxy.lease import Lease
from uwsgi_router.router.proxy.pump import STOPPED
from uwsgi_router.router.proxy.relay_pump import RelayEnd, RelayPump

_FOREVER: Final = 1e9
_READ: Final = 4096


class RelayAnswer(Answer):
    """Answer of a node whose connection belongs to one client's connection, byte for byte.

    An end (FIN) of one side is told to the other one, which may go on; so is a reset (RST), which ends both.

    Attributes:
        upload: pump from the client.
        relayed: pump from the node, which is ``download``, too.
    """

    __slots__ = ("_cut", "_early", "_settings", "_told_client", "_told_node", "relayed", "upload")

    def __init__(
        self, site: Site, request: Request, client: Client, lease: Lease, back: Back, link: Link
    ) -> None:
        upload = client.body.pump
        assert isinstance(upload, RelayPump)
        settings = upload.settings
        relayed = RelayPump(link, upload.fiber, settings)
        Answer.__init__(self, site, request, client, lease, back, relayed)
        self.upload = upload
        self.relayed = relayed
        self._settings = settings
        self._told_node = self._told_client = False
        # What the node has said before the relay begins.
        self._early = b""
        # The relay does not end in good order.
        self._cut = True

    async def relay(self) -> None:
        """Relay until both sides have ended.

        Raises:
            Failure: nothing moved for too long, or the node reset its connection.
            ClientGone: the client did.
        """
        upload, download, client, link = self.upload, self.relayed, self.client, self.link
        settings = self._settings
        if settings.keepalive:
            link.keep_alive(settings.keepalive)
        if settings.xclient and self.request.client:
            await self._tell_the_client()
        settings.begin()
        # Whoever writes to a link hears of it.
        link.owned_by(RelayEnd(upload))
        client.link.owned_by(RelayEnd(download))
        upload.moved = download.moved = upload.fiber.poller.now
        try:
            download.start(self._early)
            download.pass_to(client.link)
            upload.pass_to(link)
            await self._until_both_end()
            self._cut = False
        finally:
            if self._cut:
                # An end in good order would make what came pass for the whole.
                link.reset()
                if download.unsent:
                    client.link.reset()
            download.leave()
            upload.leave()
            settings.end()
            if not client.link.closed:
                client.link.owned_by(client.connection)

    # --- the ends ---

    async def _until_both_end(self) -> None:
        upload, download, client, link = self.upload, self.relayed, self.client, self.link
        fiber = upload.fiber
        fiber.arm(Phase.TUNNEL, self._seconds())
        while True:
            if upload.error is not None or download.state is STOPPED:
                # What it was told is lost: the node has to know, as if the client were connected to it.
                raise ClientGone
            if download.error is not None:
                await self._node_reset()
                return
            client.begun = client.begun or download.ended or download.count > 0
            if upload.ended and not self._told_node:
                self._told_node = True
                half_close(link)
            if download.ended and not self._told_client:
                self._told_client = True
                client.write_eof()
            over = download.ended and (upload.ended or upload.state is STOPPED)
            if over and not (link.backlog or client.link.backlog):
                break
            try:
                await fiber.pause()
            except TimedOut:
                self._look_at_time()
        if upload.state is STOPPED:
            # The node was closed before it had read all that the client said.
            client.link.reset()

    async def _node_reset(self) -> None:
        """Pass a reset of the node on, behind what it said before.

        Raises:
            Failure: always, unless the node said nothing, and was told nothing: then ``client.begun`` is False.
        """
        upload, download, client = self.upload, self.relayed, self.client
        fiber = upload.fiber
        if client.link.backlog:
            fiber.arm(Phase.DELIVERY, LINGER_TOTAL)
        try:
            while client.link.backlog:
                await fiber.pause()
        except TimedOut:
            pass
        client.link.reset()
        if not (download.count or upload.count):
            return
        client.begun = True
        text = f"{self.lease.node.name} reset its connection, {download.count} bytes came and {upload.count} went to it"
        raise Failure(reasons.NODE_RESET, text)

    # --- time ---

    def _due(self) -> tuple[float, RelayPump | None]:
        """Return when the relay ends if nothing more moves, and the direction that decides; None: both."""
        upload, download, settings = self.upload, self.relayed, self._settings
        timeout, up, down = settings.timeout, upload.moved, download.moved
        due, whose = inf, None
        if timeout:
            due = max(up, down) + timeout
            for pump in (upload, download):
                if pump.unsent and pump.moved + timeout < due:
                    due, whose = pump.moved + timeout, pump
        for pump, seconds in (
            (upload, settings.client_timeout),
            (download, settings.backend_timeout),
        ):
            if seconds and not pump.ended and pump.moved + seconds < due:
                due, whose = pump.moved + seconds, pump
        return due, whose

    def _seconds(self) -> float:
        """Return the seconds until something is due."""
        return min(self._due()[0] - self.upload.fiber.poller.now, _FOREVER)

    def _look_at_time(self) -> None:
        """Go on if something has moved; the deadline does not move with every byte.

        Raises:
            Failure: it is over.
        """
        due, whose = self._due()
        fiber = self.upload.fiber
        now = fiber.poller.now
        if due > now:
            fiber.arm(fiber.phase, due - now)
            return
        raise self._too_late(whose)

    def _too_late(self, whose: RelayPump | None) -> Failure:
        upload, download, settings = self.upload, self.relayed, self._settings
        name = self.lease.node.name
        counts = f"{upload.count} bytes to {name}, {download.count} from it"
        # Otherwise both sides may take it for an end in good order.
        self._cut = self.client.begun = bool(upload.unsent or download.unsent)
        if whose is not None and whose.unsent:
            who, cause = (
                ("the client", reasons.CLIENT_STALLED)
                if whose is download
                else (
                    name,
                    reasons.STALLED,
                )
            )
            text = f"{who} read nothing for {settings.timeout:g} s, {whose.unsent} bytes were left"
            return Failure(cause, text, settings.timeout)
        if whose is None:
            text = f"nothing moved for {settings.timeout:g} s ({counts})"
            return Failure(reasons.STALLED, text, settings.timeout)
        is_client = whose is upload
        who = "the client" if is_client else name
        value = settings.client_timeout if is_client else settings.backend_timeout
        option = "client-timeout" if is_client else "backend-timeout"
        text = f"{who} sent nothing for {value:g} s ({counts})"
        return Failure(reasons.STALLED, text, value, option=option)

    # --- before the relay ---

    async def _tell_the_client(self) -> None:
        """Read the greeting of an SMTP server, and tell it who the client is; its next greeting is the client's.

        What the client has said meanwhile waits: before this line it could say that it is somebody else.

        Raises:
            Failure: what comes is no greeting, or none comes in time.
            ClientGone: the client left.
        """
        site, link, name = self.site, self.link, self.lease.node.name
        upload, fiber = self.upload, self.upload.fiber
        timeout = site.limits.timeout
        fiber.arm(Phase.ANSWER, timeout)
        reader = Answers(link, fiber, _READ, _READ)
        reader.start()
        while True:
            data = reader.buffered
            try:
                size = greeting_size(data)
            except GreetingError as exc:
                raise Failure(reasons.BAD_ANSWER, f"{name} is no SMTP server: {exc}") from None
            if size is not None or reader.ended:
                break
            try:
                await fiber.pause()
            except TimedOut:
                text = f"{name} sent no greeting for {timeout:g} s"
                raise Failure(reasons.NO_ANSWER_IN_TIME, text, timeout) from None
            if upload.ended:
                self.client.body.check_client()
        link.pause()
        # The kernel tells of a reset once.
        link.broken = reader.error
        if size is not None and welcomes(data):
            link.write(xclient(self.request.client.decode()))
            data = data[size:]
        self._early = data
