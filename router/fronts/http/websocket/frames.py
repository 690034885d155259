"""WebSocket frame checker for one direction of a tunnel (RFC 6455 sections 5 to 7).

wsproto reads a copy of the bytes; the original bytes are what is passed on, so a peer gets exactly what was sent.
Measured on CPython 3.11, messages of 1 MiB in pieces of 64 KiB: 0.7 to 1 GB/s with masks (wsproto unmasks with four
``bytes.translate`` over strides; XOR of large integers gave half of that), 1.6 GB/s and more without. But a frame costs
it 17 us, however short it is, and frames may have two bytes. So those that are short and whole are checked in
:mod:`.short`, which costs 0.2 us, or 1 us if they are text, and wsproto reads the others. Both count towards the share
that a tunnel may take of a turn.
"""

from codecs import IncrementalDecoder, getincrementaldecoder
from typing import Final

from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    Frame,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    ParseFailed,
    RsvBits,
)

from uwsgi_router.protocol.http.errors import BodyError
from uwsgi_router.router.fronts.http.websocket.short import (
    COMPRESSED_KINDS,
    KINDS,
    frame_length,
    skip_short,
)

# RFC 6455 section 7.4 and IANA's registry: what a Close frame may carry. 1004, 1005, 1006 and 1015 never travel.
_CLOSE_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})

_Utf8: Final = getincrementaldecoder("utf-8")

# Short frames that are checked at once (0.15 ms), and how many of them one counts for that wsproto reads.
_SHARE: Final = 128
_SLOW: Final = 16


class FrameViolation(BodyError):
    """Violation of the protocol or a limit by a peer; the tunnel is to be closed.

    Attributes:
        code: for a Close frame: 1002 protocol error, 1007 not UTF-8, 1009 too big.
        reason: a few words for that frame and the log; nothing that the peer sent is quoted.
        valid: bytes before the violation that may still be passed on, up to the end of the last whole frame.
    """

    def __init__(self, code: int, reason: str, valid: bytes = b"") -> None:
        super().__init__(reason)
        self.code = int(code)
        self.reason = reason
        self.valid = valid


def close_frame(code: int, reason: str, *, mask: bool) -> bytes:
    """Make a Close frame.

    Args:
        code: a close code that may travel, such as 1001 (going away).
        reason: cut to 123 bytes of UTF-8.
        mask: True towards a node (we are its client), False towards a client.
    """
    return bytes(FrameProtocol(client=mask, extensions=[]).close(code, reason))


class _HeaderRules(Extension):
    """Rules for a frame's header, given what came before it.

    wsproto calls :meth:`frame_inbound_header` as soon as it has the length, before any payload, and again if the mask
    behind the length had not arrived: so nothing is counted there.

    Attributes:
        opcode: of the frame whose header came last.
        length: of its payload.
        compressed: its RSV1 bit.
        in_message: a message has begun, and its last frame has not come.
        size: bytes of that message in earlier frames.
    """

    name = "uwsgi-router-limits"

    def __init__(self, max_frame: int, max_message: int, *, deflate: bool) -> None:
        self._max_frame = max_frame
        self._max_message = max_message
        self._deflate = deflate
        self.opcode = Opcode.CONTINUATION
        self.length = 0
        self.compressed = False
        self.in_message = False
        self.size = 0

    def offer(self) -> bool:
        """Nothing is offered to peers: this is an extension to wsproto only."""
        return False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """Look at a header.

        Returns:
            The reserved bits that have a meaning; wsproto refuses others.

        Raises:
            FrameViolation: if the frame must not come here, or not be so long.
        """
        self.opcode, self.length, self.compressed = opcode, payload_length, rsv.rsv1
        if opcode >= Opcode.CLOSE:
            return RsvBits(rsv1=False, rsv2=False, rsv3=False)
        if payload_length > self._max_frame:
            raise FrameViolation(
                CloseReason.MESSAGE_TOO_BIG,
                f"a frame of {payload_length} bytes, the limit is {self._max_frame}",
            )
        if self.size + payload_length > self._max_message:
            raise FrameViolation(
                CloseReason.MESSAGE_TOO_BIG,
                f"a message of {self.size + payload_length} bytes, the limit is {self._max_message}",
            )
        first = opcode is not Opcode.CONTINUATION
        if first is self.in_message:
            text = "a message inside another" if first else "a continuation of no message"
            raise FrameViolation(CloseReason.PROTOCOL_ERROR, text)
        return RsvBits(rsv1=first and self._deflate, rsv2=False, rsv3=False)


class FrameCheck:
    """Frame checker: a feeder that lets valid frames through.

    Checked: masks (from clients always, from nodes never), reserved bits, opcodes, shortest form of lengths, control
    frames (125 bytes, in one piece), order of continuations, UTF-8 of text and of close reasons, close codes, and the
    two limits, which count bytes on the wire: a compressed message is not inflated (and its text not checked), so what
    it may grow to is the business of the peer that inflates it.

    Payload of data frames streams; a frame's header is held back until it is whole, a control frame until its end: at
    most 131 bytes.

    Args:
        from_client: True for client to node, False for node to client.
        max_frame: bytes of payload that a data frame may announce.
        max_message: bytes of payload in all frames of a message.
        deflate: permessage-deflate was negotiated: RSV1 may be set on a message's first frame.

    Attributes:
        at_boundary: what was let through so far ends between two frames, and no Close was among them: a frame of ours
            may be put in here. After a violation: the same, once its ``valid`` bytes were passed on too.
        more: of what was fed some waits for the next ``feed``: there were many frames.
        done: a Close frame has passed, the direction has ended or was refused; nothing more is let through.
        surplus: what came behind the Close frame, in the same piece; no endpoint reads it.
    """

    __slots__ = (
        "_decoder",
        "_given",
        "_held",
        "_kinds",
        "_left",
        "_longest",
        "_masked",
        "_rules",
        "_text",
        "at_boundary",
        "done",
        "more",
        "surplus",
    )

    def __init__(
        self, *, from_client: bool, max_frame: int, max_message: int, deflate: bool
    ) -> None:
        self._rules = _HeaderRules(max_frame, max_message, deflate=deflate)
        self._decoder = FrameDecoder(client=not from_client, extensions=[self._rules])
        self._text: IncrementalDecoder | None = None
        self._masked = from_client
        self._kinds = COMPRESSED_KINDS if deflate else KINDS
        self._longest = min(max_frame, max_message)
        # What is not let through yet, from the beginning of a frame on, and how much of that the decoder has.
        self._held = b""
        self._given = 0
        # Bytes to come of the data frame that we are in.
        self._left = 0
        self.at_boundary = True
        self.done = False
        self.more = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """Check ``data``, the next bytes of this direction.

        Returns:
            The bytes that may be passed on now, as they came; ``data`` itself where possible.

        Raises:
            FrameViolation: if they break a rule; the check then counts as done.
        """
        if self.done:
            return b""
        whole = self._held + data if self._held else data
        self.more = False
        end = 0  # of what may be passed on, in `whole`
        try:
            if self._left:
                end = self._stream(whole)
            share = _SHARE
            while end < len(whole):
                if not self._given:
                    longest = -1 if self._rules.in_message else self._longest
                    end, share = skip_short(
                        whole, end, share, self._kinds, longest, masked=self._masked
                    )
                    if share <= 0 or end == len(whole):
                        self.more = end < len(whole)
                        break
                share -= _SLOW
                before = end
                end, closing = self._read_frame(whole, end)
                if closing:
                    return self._closed(whole, end)
                if end == before or self._left:
                    break
        except (ParseFailed, FrameViolation) as exc:
            self._stop()
            reason = exc.reason if isinstance(exc, FrameViolation) else str(exc)
            raise FrameViolation(exc.code, reason, whole[:end]) from None
        self._held = whole[end:]
        return whole[:end]

    def _stream(self, whole: bytes) -> int:
        """Check more of the payload of a data frame; return where it ends.

        Raises:
            FrameViolation: if it breaks a rule.
        """
        end = min(self._left, len(whole))
        self._left -= end
        self._decoder.receive_bytes(whole[:end])
        frame = self._decoder.process_buffer()
        if frame is not None:
            self._check(frame)
        self.at_boundary = not self._left
        return end

    def _read_frame(self, whole: bytes, pos: int) -> tuple[int, bool]:
        """Have wsproto read one frame; return where that ends which may be passed on, and True after a Close frame.

        Raises:
            ParseFailed: if it is none.
            FrameViolation: if it breaks a rule.
        """
        decoder = self._decoder
        length = frame_length(whole, pos)
        stop = min(pos + length, len(whole)) if length else len(whole)
        decoder.receive_bytes(whole[pos + self._given : stop])
        frame = decoder.process_buffer()
        closing = frame is not None and self._check(frame)
        if frame is None and (decoder.header is None or decoder.header.opcode >= Opcode.CLOSE):
            self._given = stop - pos
            return pos, False
        # A data frame whose header was found good streams.
        self._given = 0
        self._left = pos + length - stop
        self.at_boundary = not self._left
        return stop, closing

    def eof(self) -> bytes:
        """Take the end of this direction, wherever it comes; what was held back is no frame and is dropped."""
        self._stop()
        return b""

    def _closed(self, whole: bytes, end: int) -> bytes:
        self._stop()
        self.at_boundary = False
        self.surplus = whole[end:]
        return whole[:end]

    def _stop(self) -> None:
        self.done = True
        self.more = False
        self._held = b""
        self._text = None

    def _check(self, frame: Frame) -> bool:
        """Check the payload of a frame, or a part of it; return True after a Close frame.

        Raises:
            FrameViolation: if it breaks a rule.
        """
        rules, payload = self._rules, frame.payload
        assert isinstance(payload, bytes)
        if rules.opcode >= Opcode.CLOSE:
            if rules.opcode is Opcode.CLOSE:
                _check_close(payload)
                return True
            return False
        if not rules.in_message:
            rules.in_message = True
            if rules.opcode is Opcode.TEXT and not rules.compressed:
                self._text = _Utf8()
        ended = frame.frame_finished and frame.message_finished
        if self._text is not None:
            try:
                self._text.decode(payload, ended)
            except UnicodeDecodeError:
                raise FrameViolation(
                    CloseReason.INVALID_FRAME_PAYLOAD_DATA, "a text message is not UTF-8"
                ) from None
        if ended:
            rules.in_message, rules.size, self._text = False, 0, None
        elif frame.frame_finished:
            rules.size += rules.length
        return False


def _check_close(payload: bytes) -> None:
    """Check what a Close frame carries (RFC 6455 section 5.5.1).

    Raises:
        FrameViolation: if it is neither nothing nor a code that may travel and UTF-8.
    """
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code not in _CLOSE_CODES:
        raise FrameViolation(CloseReason.PROTOCOL_ERROR, "a Close frame without a valid code")
    try:
        payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        raise FrameViolation(
            CloseReason.INVALID_FRAME_PAYLOAD_DATA, "the reason of a Close frame is not UTF-8"
        ) from None
