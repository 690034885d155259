"""Event streams (text/event-stream): a body that can be ended behind a whole event (WHATWG HTML, section 9.2)."""

import re
from typing import Final

from uwsgi_router.protocol.http.body import Decoder, Encoder, Recoder
from uwsgi_router.protocol.http.response_head import ResponseHead

# An empty line ends an event; lines end with LF, CR LF or CR.
_EVENT_END: Final = re.compile(rb"\n\r?\n|\r\r")
# Bytes before a piece that may belong to the end of an event within it.
_TAIL: Final = 3
_TYPE: Final = b"content-type:"
_ENCODING: Final = b"content-encoding:"
_EVENTS: Final = b"text/event-stream"


def is_event_stream(head: ResponseHead) -> bool:
    """Return True if an answer is a stream of events, in plain text."""
    found = False
    for line in head.lines:
        start = line[:17].lower()
        if start.startswith(_ENCODING):
            return False
        if start.startswith(_TYPE):
            value = line[len(_TYPE) :].strip(b" \t").lower()
            found = value.partition(b";")[0].rstrip(b" \t") == _EVENTS
    return found


class EventRecoder(Recoder):
    """Recoder of a stream of events, which can be ended behind an event.

    Attributes:
        cut: it was ended before its source was.
    """

    __slots__ = ("_ending", "_tail", "cut")

    def __init__(self, decoder: Decoder, encoder: Encoder) -> None:
        Recoder.__init__(self, decoder, encoder)
        self._tail = b""
        self._ending = False
        self.cut = False

    @property
    def surplus(self) -> bytes:
        """Bytes that were fed and lie behind the body; what follows a cut is nothing."""
        return b"" if self.cut else self._decoder.surplus

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the source and return those for the target.

        Raises:
            BodyError: if the framing is broken.
        """
        payload = self._feed(data)
        if self._ending:
            end = self._event_end(payload)
            if end is not None:
                self.payload += end
                self.done = self.cut = True
                return self._encode(payload[:end]) + self._encoder.finish()
        self.payload += len(payload)
        self._tail = (self._tail + payload)[-_TAIL:]
        out = self._encode(payload)
        if self._decoder.done and not self.done:
            self.done = True
            out += self._encoder.finish()
        return out

    def end(self) -> bytes | None:
        """End the stream behind the event that is being sent.

        Returns:
            What ends it now, for the target; None: it ends within what is fed next.
        """
        self._ending = True
        # What was sent so far ends with an event, or is nothing.
        if not self._tail or self._event_end(b"") is not None:
            self.done = self.cut = True
            return self._encoder.finish()
        return None

    def _event_end(self, payload: bytes) -> int | None:
        """Return where in ``payload`` an event ends first, 0: before it; None: nowhere."""
        known = len(self._tail)
        for found in _EVENT_END.finditer(self._tail + payload):
            if found.end() >= known:
                return found.end() - known
        return None
