"""HTTP answer heads for clients: keepalive, chunking, gzip."""

from typing import Final

from uwsgi_router.protocol.http.body import ChunkedEncoder, Encoder, Identity
from uwsgi_router.protocol.http.content_coding import Gzip, accepts_gzip, gzip_lines, vary_lines
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.response_head import ResponseHead
from uwsgi_router.protocol.http.status import NO_CONTENT, PARTIAL_CONTENT

_STRICT: Final = b"strict-transport-security:"


class AnswerWriter:
    """Writer of answer heads.

    Args:
        auto_gzip: bodies are compressed that the node asks for to be.
        auto_chunked: bodies without a length are sent in chunks, so that the connection can be kept.
    """

    __slots__ = ("_auto_chunked", "_auto_gzip")

    def __init__(self, *, auto_gzip: bool, auto_chunked: bool) -> None:
        self._auto_gzip = auto_gzip
        self._auto_chunked = auto_chunked

    def answer_head(
        self, asked: RequestHead, head: ResponseHead, length: int | None, *, keep: bool
    ) -> tuple[bytes, Encoder | None, bool]:
        """Make the head of an answer.

        Args:
            asked: the head of the request.
            head: the node's.
            length: bytes of its body; None if only its end tells.
            keep: the client's connection could serve another request.

        Returns:
            The bytes; how the body is encoded, None if it has ``length`` bytes and passes as it is; whether the
            connection is kept.
        """
        block = head.block
        encoder: Encoder | None = None
        gzip = False
        if self._auto_gzip and head.gzip_wanted:
            gzip = (
                length != 0
                and head.status != PARTIAL_CONTENT
                and not head.content_encoding
                and not _must_not_be_changed(head.lines)
                and accepts_gzip(_value(asked, b"accept-encoding"))
            )
            lines = gzip_lines(head.lines) if gzip else vary_lines(head.lines)
            block = b"\r\n".join((*lines, b""))
        framing = b""
        if length is None or gzip:
            if asked.minor and (head.chunked or (keep and self._auto_chunked) or (keep and gzip)):
                framing = b"Transfer-Encoding: chunked\r\n"
                encoder = ChunkedEncoder()
            else:
                keep = False
                encoder = Identity()
            if gzip:
                encoder = Gzip(encoder)
        elif length:
            framing = b"Content-Length: %d\r\n" % length
        elif head.content_length is not None and head.status != NO_CONTENT:
            # Of HEAD and 304 it tells of a body that is not there.
            framing = b"Content-Length: %d\r\n" % head.content_length
        end = b"\r\n"
        if not keep:
            end = b"Connection: close\r\n\r\n"
        elif not asked.minor:
            end = b"Connection: keep-alive\r\n\r\n"
        return b"".join((head.start, b"\r\n", block, framing, end)), encoder, keep


class StrictWriter(AnswerWriter):
    """Writer of answer heads over TLS that tell browsers to come over TLS only (RFC 6797).

    Args:
        line: the field, with its line end. A node that sends one of its own has the say.
        auto_gzip: as of the base class.
        auto_chunked: likewise.
    """

    __slots__ = ("_line",)

    def __init__(self, line: bytes, *, auto_gzip: bool, auto_chunked: bool) -> None:
        super().__init__(auto_gzip=auto_gzip, auto_chunked=auto_chunked)
        self._line = line

    def answer_head(
        self, asked: RequestHead, head: ResponseHead, length: int | None, *, keep: bool
    ) -> tuple[bytes, Encoder | None, bool]:
        """Make the head of an answer."""
        data, encoder, kept = AnswerWriter.answer_head(self, asked, head, length, keep=keep)
        if not any(line[: len(_STRICT)].lower() == _STRICT for line in head.lines):
            data = data[:-2] + self._line + b"\r\n"
        return data, encoder, kept


def switch_head(head: ResponseHead) -> bytes:
    """Return a 101 for the client."""
    return b"".join(
        (
            *(b"HTTP/1.1 101 ", head.reason or b"Switching Protocols", b"\r\n", head.block),
            *(b"Upgrade: ", head.upgrade, b"\r\nConnection: Upgrade\r\n\r\n"),
        )
    )


def interim_head(head: ResponseHead) -> bytes:
    """Return a 1xx for the client."""
    return b"".join((head.start, b"\r\n", head.block, b"\r\n"))


def _must_not_be_changed(lines: list[bytes]) -> bool:
    """Return True with ``Cache-Control: no-transform`` (RFC 9111 section 5.2.2.6)."""
    return any(
        line[:14].lower() == b"cache-control:" and b"no-transform" in line.lower() for line in lines
    )


def _value(head: RequestHead, wanted: bytes) -> bytes:
    return b", ".join(value for name, value in head.fields if name == wanted)
