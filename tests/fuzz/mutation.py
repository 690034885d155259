"""New inputs from old ones: random changes that length-prefixed formats are sensitive to."""

import random
from collections.abc import Sequence

from uwsgi_router.protocol.uwsgi import (
    MAX_DATASIZE,
    PacketError,
    decode_variables,
    encode_variables,
)

MAX_SIZE = 8192
_BYTES = (0, 1, 2, 3, 4, 22, 100, 127, 128, 173, 224, 254, 255)
_U16 = (0, 1, 3, 4, 255, 256, 4096, 32767, 32768, 65531, 65532, 65535)


class Mutator:
    """Makes inputs.

    Args:
        rng: the only source of chance: the same seed gives the same inputs.
        words: pieces to insert.
    """

    def __init__(self, rng: random.Random, words: Sequence[bytes]) -> None:
        self._rng = rng
        self._words = words

    def make(self, corpus: Sequence[bytes]) -> bytes:
        """Return a new input: mostly a changed old one, sometimes plain garbage."""
        rng = self._rng
        if rng.random() < 0.05:
            return rng.randbytes(rng.choice((0, 1, 3, 4, 5, 40, 400)))
        data = bytearray(rng.choice(corpus))
        if rng.random() < 0.4:
            return self._change_variables(bytes(data))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8, 16))):
            self._change(data, corpus)
        return bytes(data[:MAX_SIZE])

    def _change(self, data: bytearray, corpus: Sequence[bytes]) -> None:
        rng = self._rng
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 2, 4, 16, 64)))
        match rng.randrange(10):
            case 0:
                data[at:to] = b""
            case 1:
                data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))
            case 2:
                data[at:at] = data[at:to] * rng.choice((1, 2, 30))
            case 3:
                data[at : at + 1] = bytes((rng.choice(_BYTES),))
            case 4:
                data[at : at + 2] = rng.choice(_U16).to_bytes(2, "little")
            case 5:
                data[at:at] = rng.choice(self._words)
            case 6:
                data[at:] = b""
            case 7:
                other = rng.choice(corpus)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            case 8 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case _:
                data[:] = _true_size(bytes(data))

    def _change_variables(self, data: bytes) -> bytes:
        """Change a packet as one who knows the format would, so that what lies behind is reached."""
        rng = self._rng
        # A block without header is a packet behind four bytes that are missing.
        start = rng.choice((0, 4))
        try:
            variables = decode_variables(data[start:])
        except PacketError:
            return _true_size(data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            name = rng.choice(self._words)
            value = rng.choice(
                (rng.choice(self._words), rng.randbytes(rng.choice((0, 1, 255, 256))))
            )
            at = rng.randrange(len(variables) + 1)
            match rng.randrange(5):
                case 0:
                    variables[at:at] = [(name, value)]
                case 1:
                    del variables[at : at + 1]
                case 2:
                    rng.shuffle(variables)
                case _ if at < len(variables):
                    variables[at] = (variables[at][0], value)
        return (
            _true_size(data[:start] + encode_variables(variables))
            if start
            else (encode_variables(variables))
        )


def _true_size(packet: bytes) -> bytes:
    """Make the length in a header true again, so that what follows it is reached."""
    size = min(max(0, len(packet) - 4), MAX_DATASIZE)
    return packet[:1] + size.to_bytes(2, "little") + packet[3:]
