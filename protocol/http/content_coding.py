"""gzip compression of answers whose node asks for it with ``uWSGI-Encoding: gzip`` (uWSGI: plugins/http/http.c).

The caller decides whether: not for HEAD, 204, 206 and 304, nor for what has a Content-Encoding already or
``Cache-Control: no-transform``.
"""

import re
import zlib
from typing import Final

from uwsgi_router.protocol.http.body import Encoder

_WEIGHT = re.compile(rb"q[ \t]*=[ \t]*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")

#: Fields that are wrong about compressed bytes: pieces of them can't be asked for, and their digests are others.
_DROPPED: Final = frozenset(
    {
        b"accept-ranges",
        b"content-digest",
        b"content-md5",
        b"digest",
        b"repr-digest",
        b"uwsgi-encoding",
    }
)


class Gzip:
    """Encoder that compresses; whoever has the bytes so far can read the payload so far.

    Args:
        inner: frames the compressed bytes.
        level: 1 (fast) to 9 (small).
    """

    __slots__ = ("_compressor", "_inner")

    def __init__(self, inner: Encoder, level: int = 6) -> None:
        self._inner = inner
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def encode(self, payload: bytes) -> bytes:
        """Return the compressed and framed bytes of a piece; b"" for b""."""
        if not payload:
            return b""
        compressor = self._compressor
        return self._inner.encode(
            compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        )

    def finish(self) -> bytes:
        """Return the end of the gzip stream, framed, and the end of the frame."""
        return self._inner.encode(self._compressor.flush()) + self._inner.finish()


def accepts_gzip(value: bytes) -> bool:
    """Tell from an Accept-Encoding whether gzip is welcome, and not less than no coding (RFC 9110 section 12.5.3).

    Args:
        value: of the field; b"" without one. An element whose weight is malformed counts as refused.
    """
    weights: dict[bytes, float] = {}
    for element in value.lower().split(b","):
        coding, semicolon, weight = element.partition(b";")
        if not semicolon:
            weights[coding.strip(b" \t")] = 1.0
            continue
        match = _WEIGHT.fullmatch(weight.strip(b" \t"))
        weights[coding.strip(b" \t")] = float(match[1]) if match else 0.0
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0)))
    return gzip > 0.0 and gzip >= weights.get(b"identity", 0.0)


def gzip_lines(lines: list[bytes]) -> list[bytes]:
    """Return the field lines of an answer that we compress.

    uWSGI-Encoding, Accept-Ranges and digests go; Content-Encoding comes; ETag becomes weak (the same resource, other
    bytes); Vary says that others may get it uncompressed.

    Args:
        lines: ``Name: value`` of each field, without Content-Encoding; not changed.
    """
    found: list[bytes] = []
    for line in vary_lines(lines):
        raw, _, value = line.partition(b":")
        name = raw.lower()
        if name in _DROPPED:
            continue
        if name == b"etag" and not (tag := value.strip(b" \t")).startswith(b"W/"):
            found.append(b"%b: W/%b" % (raw, tag))
        else:
            found.append(line)
    found.append(b"Content-Encoding: gzip")
    return found


def vary_lines(lines: list[bytes]) -> list[bytes]:
    """Return the field lines of an answer that we would compress for others, but not for this client.

    uWSGI-Encoding goes, and Vary names Accept-Encoding, or a cache would give this answer to everybody.

    Args:
        lines: ``Name: value`` of each field; not changed.
    """
    found: list[bytes] = []
    varies = -1
    named = False
    for line in lines:
        raw, _, value = line.partition(b":")
        name = raw.lower()
        if name == b"uwsgi-encoding":
            continue
        if name == b"vary":
            varies = len(found)
            members = {member.strip(b" \t") for member in value.lower().split(b",")}
            named = named or not members.isdisjoint({b"*", b"accept-encoding"})
        found.append(line)
    if varies < 0:
        found.append(b"Vary: Accept-Encoding")
    elif not named:
        raw, _, value = found[varies].partition(b":")
        before = value.strip(b" \t,")
        found[varies] = b"%b: %b" % (
            raw,
            before + b", Accept-Encoding" if before else b"Accept-Encoding",
        )
    return found
