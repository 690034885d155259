"""Frames between a tuntap router and its devices: IP packets, and tables of rules (uWSGI: plugins/tuntap).

A frame has uwsgi's header and ``datasize`` bytes. Modifier2 says what they are: 1 is a table of rules, which a device
sends about its own packets; anything else one IP packet. Before its first frame a device may have to send
:data:`HELLO`.
"""

import struct
from dataclasses import dataclass
from typing import Final

#: Sent first where the router asks for credentials.
HELLO: Final = b"uwsgi-tuntap"
#: Bytes of a frame at most: uWSGI's buffers hold no more.
MAX_FRAME: Final = 8192
#: Rules of a table at most: each packet may cost as many comparisons.
MAX_RULES: Final = 64

ALLOW: Final = 0
DENY: Final = 1
GATEWAY: Final = 2
IN: Final = 0
OUT: Final = 1

_RULES: Final = 1
# direction, source, its mask, destination, its mask, action; the byte order is the host's.
_RULE: Final = struct.Struct("=BIIIIB")
# Address and port that packets go to instead, as in a sockaddr.
_TARGET: Final = struct.Struct("!4sH")
_RULE_SIZE: Final = _RULE.size + _TARGET.size


class FrameError(ValueError):
    """Error for bytes that are no frames; ``str()`` is the reason for the log."""


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Rule of a device about its packets; IPv4 only.

    Attributes:
        direction: IN, to the device, or OUT.
        src: network address of the source; 0: any.
        src_mask: its mask.
        dst: network address of the destination; 0: any.
        dst_mask: its mask.
        action: ALLOW, DENY or GATEWAY.
        target: host and UDP port that GATEWAY sends to.
    """

    direction: int
    src: int
    src_mask: int
    dst: int
    dst_mask: int
    action: int
    target: tuple[str, int]

    def matches(self, src: int, dst: int) -> bool:
        """Return True if it is about packets between these IPv4 addresses."""
        if self.src and (src & self.src_mask) != self.src:
            return False
        return not self.dst or (dst & self.dst_mask) == self.dst


def frame_header(size: int) -> bytes:
    """Return the header of a frame with a packet."""
    return bytes((0, size & 0xFF, size >> 8, 0))


class FrameReader:
    """Incremental reader of frames; keeps less than one.

    Attributes:
        rules: the table that came last, until somebody takes it.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.rules: bytes | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the packets that are whole now.

        Raises:
            FrameError: a frame is empty, or too long; what follows can't be told.
        """
        if self._rest:
            data = self._rest + data
        packets: list[bytes] = []
        at = 0
        end = len(data)
        while end - at >= 4:
            size = data[at + 1] | data[at + 2] << 8
            if size == 0 or size > MAX_FRAME:
                raise FrameError(f"a frame of {size} bytes, where 1 to {MAX_FRAME} may be")
            start = at + 4
            stop = start + size
            if stop > end:
                break
            if data[at + 3] == _RULES:
                self.rules = data[start:stop]
            else:
                packets.append(data[start:stop])
            at = stop
        self._rest = data[at:]
        return packets


def encode_rules(rules: list[DeviceRule]) -> bytes:
    """Return the frame with a table of rules.

    Raises:
        FrameError: there are too many.
    """
    _check_number(len(rules))
    body = b"".join(
        _RULE.pack(rule.direction, rule.src, rule.src_mask, rule.dst, rule.dst_mask, rule.action)
        + _TARGET.pack(bytes(map(int, rule.target[0].split("."))), rule.target[1])
        for rule in rules
    )
    return bytes((0, len(body) & 0xFF, len(body) >> 8, _RULES)) + body


def decode_rules(body: bytes) -> list[DeviceRule]:
    """Return the rules of a table; a part of one at the end is ignored, as uWSGI does.

    Raises:
        FrameError: there are too many.
    """
    _check_number(len(body) // _RULE_SIZE)
    found = []
    for at in range(0, len(body) - _RULE_SIZE + 1, _RULE_SIZE):
        direction, src, src_mask, dst, dst_mask, action = _RULE.unpack_from(body, at)
        host, port = _TARGET.unpack_from(body, at + _RULE.size)
        target = (".".join(map(str, host)), port)
        found.append(DeviceRule(direction, src, src_mask, dst, dst_mask, action, target))
    return found


def _check_number(rules: int) -> None:
    if rules > MAX_RULES:
        raise FrameError(f"a table of {rules} rules, where {MAX_RULES} may be")
