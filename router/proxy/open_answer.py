"""Open answer: one under way whose length nobody knows; a stream of events is ended in order between two of them."""

import re
from typing import Final

from uwsgi_router.protocol.http.body import Encoder, Recoder
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.pump import Pump

_EVENTS: Final = b"text/event-stream"
_TYPE: Final = b"content-type:"
# A blank line ends an event; lines end with CR, LF or both (HTML standard, server-sent events).
_BLANK_LINE: Final = re.compile(rb"\n\r?\n|\r\r")
# So many bytes that have passed may belong to a blank line that ends in those that follow.
_KEPT: Final = 3


class OpenAnswer:
    """Answer under way.

    It sees what passes from :meth:`watch` on: until then a stream of events costs nothing more than another answer.

    Args:
        head: of the answer.
        download: moves the body.
        recoder: re-frames it.
        client: the client's end.
    """

    __slots__ = (
        "_client",
        "_download",
        "_encoder",
        "_ending",
        "_last",
        "_recoder",
        "_silent",
        "head",
    )

    def __init__(self, head: ResponseHead, download: Pump, recoder: Recoder, client: Link) -> None:
        self.head = head
        self._download = download
        self._recoder = recoder
        self._client = client
        self._encoder: Encoder | None = None
        self._ending = False
        # Who sends nothing for as long as it is watched has ended its last event.
        self._silent = True
        self._last = b""

    @property
    def has_events(self) -> bool:
        """True if it is a stream of events that can be told apart."""
        if self.head.content_encoding:
            return False
        return any(
            line[: len(_TYPE)].lower() == _TYPE
            and line[len(_TYPE) :].strip().lower().startswith(_EVENTS)
            for line in self.head.lines
        )

    def watch(self) -> None:
        """Note from now on where its events end, if it is a stream of such."""
        if self._encoder is None and self.has_events:
            self._encoder = self._recoder.intercept(self)

    def end(self) -> None:
        """End it as soon as no event is cut by that, perhaps at once; does nothing if it is another sort of answer."""
        self.watch()
        encoder = self._encoder
        if encoder is None or self._ending:
            return
        self._ending = True
        if not (self._silent or _ends_event(self._last)):
            return
        download = self._download
        download.source.pause()
        download.finish()
        self._leave_node()
        try:
            self._client.write(encoder.finish())
        except OSError:
            return  # The fiber finds out by itself.
        download.fiber.wake()

    def _leave_node(self) -> None:
        """Note that the node has not ended its answer: its connection serves no other request."""
        self._download.ended = True

    # --- the encoder that sees what passes ---

    def encode(self, data: bytes) -> bytes:
        """Return the payload as it is sent; what follows the event that ends in it is not, if it is the last one."""
        encoder = self._encoder
        assert encoder is not None
        if not data:
            return encoder.encode(data)
        seen = self._last + data
        if self._ending:
            kept = len(self._last)
            for match in _BLANK_LINE.finditer(seen):
                if match.end() > kept:
                    self._recoder.done = True
                    self._leave_node()
                    return encoder.encode(data[: match.end() - kept]) + encoder.finish()
        self._silent = False
        self._last = seen[-_KEPT:]
        return encoder.encode(data)

    def finish(self) -> bytes:
        """Return what ends the body."""
        encoder = self._encoder
        assert encoder is not None
        return encoder.finish()


def _ends_event(last: bytes) -> bool:
    """Return True if a blank line is the last that has passed."""
    return last.endswith((b"\n\n", b"\n\r\n", b"\r\r"))
