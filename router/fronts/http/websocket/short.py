"""Short WebSocket frames, which are checked without wsproto: whole ones of up to 125 bytes (RFC 6455 section 5.2)."""

from typing import Final

_MASKED: Final = 0x80
# A payload may have as many bytes in a frame whose header is two bytes and a mask.
_LONGEST: Final = 125

# First bytes of the frames that need nothing else: a message in one frame, Ping, Pong.
_CONTROL: Final = 0
_DATA: Final = 1
_TEXT: Final = 2
KINDS: Final = {0x81: _TEXT, 0x82: _DATA, 0x89: _CONTROL, 0x8A: _CONTROL}
#: The same with permessage-deflate.
COMPRESSED_KINDS: Final = {**KINDS, 0xC1: _DATA, 0xC2: _DATA}


def skip_short(
    data: bytes, pos: int, count: int, kinds: dict[int, int], longest: int, *, masked: bool
) -> tuple[int, int]:
    """Check short whole frames, up to the first that is none, or that breaks a rule.

    Args:
        data: frames.
        pos: where the first one begins.
        count: how many may be checked.
        kinds: which.
        longest: bytes that a message may have; -1: none may begin here.
        masked: they have to have a mask; else they must not.

    Returns:
        Where the next frame begins, and how many more may be checked.
    """
    header, mask_bit = (6, _MASKED) if masked else (2, 0)
    size = len(data)
    while count > 0 and pos + header <= size:
        kind = kinds.get(data[pos], -1)
        # Without the mask bit it is above 127.
        length = data[pos + 1] ^ mask_bit
        stop = pos + header + length
        if kind < 0 or length > _LONGEST or stop > size:
            break
        if kind != _CONTROL:
            if length > longest:
                break
            if kind == _TEXT and length and not _is_text(data, pos, stop, masked=masked):
                break
        pos = stop
        count -= 1
    return pos, count


def frame_length(data: bytes, pos: int) -> int:
    """Return how many bytes the frame has that begins there; 0: its header does not say that yet."""
    header = data[pos : pos + 10]
    if len(header) < 2:
        return 0
    length, start = header[1] & 0x7F, 2
    if length > _LONGEST:
        start = 4 if length == _LONGEST + 1 else 10
        if len(header) < start:
            return 0
        length = int.from_bytes(header[2:start], "big")
    return start + (4 if header[1] & _MASKED else 0) + length


def _is_text(data: bytes, start: int, stop: int, *, masked: bool) -> bool:
    """Return whether the payload of a short frame is UTF-8."""
    if masked:
        length = stop - start - 6
        mask = data[start + 2 : start + 6] * (length + 3 >> 2)
        key = int.from_bytes(mask[:length], "little")
        payload = (int.from_bytes(data[start + 6 : stop], "little") ^ key).to_bytes(
            length, "little"
        )
    else:
        payload = data[start + 2 : stop]
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
