"""HTTP body framing: decoders and encoders for Content-Length, chunked, and until-close bodies (RFC 9112, 6 and 7).

Decoders take bytes as they come and return payload; encoders frame payload for the target; a :class:`Recoder` is the
two together. Nobody here keeps payload: what goes in comes out of the same call.
"""

import re
from typing import Final, Protocol

from uwsgi_router.protocol.http.errors import BodyError, BodyTooLarge, Truncated
from uwsgi_router.protocol.http.fields import TOKEN_BYTE, VALUE_BYTE

#: Bytes of a line with a chunk's size, extensions and line end included.
MAX_SIZE_LINE: Final = 4096
#: Bytes of all trailer fields together.
MAX_TRAILERS: Final = 65536
#: Chunks that are taken at once: 0.15 ms.
MAX_CHUNKS: Final = 128

_CR: Final = 13
_LF: Final = 10

# Some servers fill the size up with blanks.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*+(?:;%b*+)?\r\n" % VALUE_BYTE)
_SIZE_LINE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*+(?:;|\r?\Z)")
_TRAILER = re.compile(rb"%b++:%b*+\r\n" % (TOKEN_BYTE, VALUE_BYTE))
_TRAILER_SO_FAR = re.compile(rb"\r\Z|%b++(?::|\Z)" % TOKEN_BYTE)


class Decoder(Protocol):
    """Body decoder: finds the payload in what is read.

    Attributes:
        done: the body is complete.
        more: there were many chunks: those that are left are taken by the next ``feed``, of b"" too.
        surplus: what was fed and lies behind the body; it belongs to the next message.
    """

    done: bool
    more: bool
    surplus: bytes

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the connection and return their payload, b"" possible.

        Raises:
            BodyError: if they break the framing. The decoder is of no use after that.
        """

    def eof(self) -> None:
        """Note that the connection has ended, while the body was not done.

        Raises:
            Truncated: if that is no legal end of the body; otherwise it is done.
        """


class Encoder(Protocol):
    """Body encoder: frames payload for the target."""

    def encode(self, payload: bytes) -> bytes:
        """Return the bytes to send for a piece of payload; b"" for b""."""

    def finish(self) -> bytes:
        """Return the bytes that end the body."""


class Counted:
    """Decoder of a body of announced length."""

    __slots__ = ("_rest", "done", "more", "surplus")

    def __init__(self, length: int) -> None:
        self._rest = length
        self.done = not length
        self.more = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; what lies wholly inside the body is returned as the same object."""
        rest = self._rest - len(data)
        if rest > 0:
            self._rest = rest
            return data
        self.done = True
        if not rest:
            self._rest = 0
            return data
        data, more = data[: self._rest], data[self._rest :]
        self._rest = 0
        self.surplus += more
        return data

    def eof(self) -> None:
        """Raise Truncated: the end comes too early."""
        raise Truncated(f"the connection ended {self._rest} bytes before the body's announced end")


class UntilEof:
    """Decoder of a body that ends with the connection."""

    __slots__ = ("done", "more", "surplus")

    def __init__(self) -> None:
        self.done = False
        self.more = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """Return everything: all of it is payload."""
        return data

    def eof(self) -> None:
        """Complete the body."""
        self.done = True


class Chunked:
    """Decoder of a chunked body, strict: line ends are CR LF, sizes have at most 16 hexadecimal digits.

    Extensions are ignored and trailers dropped, both checked and limited.
    """

    __slots__ = ("_held", "_need", "_trailers", "done", "more", "surplus")

    def __init__(self) -> None:
        # Bytes to come of the chunk that we are in, with the CR LF behind its data; 0: a line comes next.
        self._need = 0
        # Bytes that trailers may still have; None: not there yet.
        self._trailers: int | None = None
        # The beginning of a line whose end has not come; if there is more, all that is left.
        self._held = b""
        self.done = False
        self.more = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; what lies wholly inside one chunk is returned as the same object."""
        if self._held:
            data = self._held + data
            self._held = b""
            self.more = False
        need = self._need
        size = len(data)
        if need >= size + 2:
            self._need = need - size
            return data
        if self.done:
            self.surplus += data
            return b""
        if self._trailers is not None:
            self._feed_trailers(data, 0)
            return b""

        payload: list[bytes] = []
        pos = 0
        for _ in range(MAX_CHUNKS):
            if need:
                end = pos + need
                if end > size:
                    self._need = self._cut_chunk(data, pos, need, payload)
                    break
                if data[end - 1] != _LF or (need > 1 and data[end - 2] != _CR):
                    raise BodyError("a chunk's data is not followed by CR LF: its size is wrong")
                if need > 2:
                    payload.append(data[pos : end - 2])
                pos = end
            line = _SIZE_LINE.match(data, pos)
            if line is None:
                self._need = 0
                self._hold_size_line(data[pos:])
                break
            if line.end() - pos > MAX_SIZE_LINE:
                raise BodyError(_LINE_TOO_LONG)
            pos = line.end()
            need = int(line[1], 16) + 2
            if need == 2:
                self._need = 0
                self._trailers = MAX_TRAILERS
                self._feed_trailers(data, pos)
                break
        else:
            self._need = need
            self._held = data[pos:]
            self.more = bool(self._held)
        return payload[0] if len(payload) == 1 else b"".join(payload)

    @staticmethod
    def _cut_chunk(data: bytes, pos: int, need: int, payload: list[bytes]) -> int:
        """Take the beginning of a chunk and return how much of it is still to come."""
        come = len(data) - pos
        if need > 2 and come:
            payload.append(data[pos : pos + need - 2])
        need -= come
        # Only the LF is missing.
        if need == 1 and come and data[-1] != _CR:
            raise BodyError("a chunk's data is not followed by CR LF: its size is wrong")
        return need

    def _hold_size_line(self, line: bytes) -> None:
        if not line:
            return
        if b"\n" in line or not _SIZE_LINE_SO_FAR.match(line):
            raise BodyError(f"{line[:20]!r} is no line with a chunk's size")
        if len(line) >= MAX_SIZE_LINE:
            raise BodyError(_LINE_TOO_LONG)
        self._held = line

    def _feed_trailers(self, data: bytes, pos: int) -> None:
        start = pos
        limit = self._trailers or 0
        while not data.startswith(b"\r\n", pos):
            line = _TRAILER.match(data, pos)
            if line is None:
                break
            pos = line.end()
        else:
            self.done = True
            self.surplus = data[pos + 2 :]
        if pos - start > limit:
            raise BodyError(_TRAILERS_TOO_LONG)
        if self.done:
            return
        self._trailers = limit - (pos - start)
        rest = data[pos:]
        if not rest:
            return
        if b"\n" in rest or not _TRAILER_SO_FAR.match(rest):
            raise BodyError(f"{rest[:40]!r} behind the last chunk is no trailer field")
        # The CR of the empty line that ends them is no part of them.
        if len(rest) > self._trailers and rest != b"\r":
            raise BodyError(_TRAILERS_TOO_LONG)
        self._held = rest

    def eof(self) -> None:
        """Raise Truncated: the end comes too early."""
        raise Truncated("the connection ended before the chunked body did")


_LINE_TOO_LONG: Final = f"a line with a chunk's size is longer than {MAX_SIZE_LINE} bytes"
_TRAILERS_TOO_LONG: Final = f"the trailer fields have more than {MAX_TRAILERS} bytes"


class Identity:
    """Encoder that changes nothing: the target knows the length, or is told by the connection's end."""

    __slots__ = ()

    def encode(self, payload: bytes) -> bytes:
        """Return the same object."""
        return payload

    def finish(self) -> bytes:
        """Return nothing: the body needs no end of its own."""
        return b""


class ChunkedEncoder:
    """Encoder of a chunked body: one chunk for each piece, without extensions; no trailers."""

    __slots__ = ()

    def encode(self, payload: bytes) -> bytes:
        """Make a chunk; none for b"", which would end the body."""
        return b"".join((b"%X\r\n" % len(payload), payload, b"\r\n")) if payload else b""

    def finish(self) -> bytes:
        """Make the last chunk and the empty trailer section."""
        return b"0\r\n\r\n"


class Recoder:
    """Decoder and encoder together: takes a body in one framing, and gives it in the other.

    Args:
        decoder: for what is read.
        encoder: for what is sent.
        limit: bytes of payload that are allowed; None: any number.

    Attributes:
        payload: bytes of payload so far.
        done: the body is complete, and all of it was returned. A body without a byte is only done after a ``feed``,
            of b"" if there is nothing else: its end may be something to send.
    """

    __slots__ = ("_decoder", "_encode", "_encoder", "_feed", "_limit", "done", "payload")

    def __init__(self, decoder: Decoder, encoder: Encoder, limit: int | None = None) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._feed = decoder.feed
        self._encode = encoder.encode
        self._limit = limit
        self.payload = 0
        self.done = False

    def intercept(self, encoder: Encoder) -> Encoder:
        """Have another encoder see the payload from now on; return the one that it replaces."""
        before = self._encoder
        self._encoder = encoder
        self._encode = encoder.encode
        return before

    @property
    def more(self) -> bool:
        """True if some of what was fed is left for the next ``feed``."""
        return self._decoder.more

    @property
    def surplus(self) -> bytes:
        """Bytes that were fed and lie behind the body."""
        return self._decoder.surplus

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the source and return those for the target.

        Raises:
            BodyTooLarge: if the payload is larger than the limit.
            BodyError: if the framing is broken.
        """
        payload = self._feed(data)
        self.payload += len(payload)
        if self._limit is not None and self.payload > self._limit:
            raise BodyTooLarge(f"the body has more than {self._limit} bytes")
        out = self._encode(payload)
        if self._decoder.done and not self.done:
            self.done = True
            out += self._encoder.finish()
        return out

    def eof(self) -> bytes:
        """Note that the source has ended.

        Returns:
            The bytes that end the body for the target; b"" if it had ended before.

        Raises:
            Truncated: if the body is not complete. The target must not take it for complete either.
        """
        if self.done:
            return b""
        if not self._decoder.done:
            self._decoder.eof()
        self.done = True
        return self._encoder.finish()
