"""Frames between processes of one program: a length of four bytes (big endian), then a JSON list of records.

A record is a list that begins with two words: the part of the program that it is for, and what it says. Both ends are
processes of ours, perhaps of two versions during a reload, so the first record says which format follows. What is no
frame ends the connection: nothing is guessed.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

#: Version of the records; a process of another one is told nothing, and tells nothing.
FORMAT: Final = 1
#: Bytes of one frame.
MAX_FRAME: Final = 4 * 1024 * 1024
#: Records of one frame that is made, unless one is larger alone.
_BATCH: Final = 100
_LENGTH: Final = 4

Record = Sequence[Any]
"""``[part, word, …]``."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class FeedError(ValueError):
    """Error: what came is no frame; ``str()`` says why."""


def encode(records: Iterable[Record]) -> bytes:
    """Make frames of records, each with a number of them that keeps it short.

    Raises:
        FeedError: one record alone is too long for a frame.
    """
    frames: list[bytes] = []
    texts: list[str] = []
    size = 0
    for record in records:
        text = _encode(record)
        if len(text) + 2 > MAX_FRAME:
            raise FeedError(f"a record of {len(text)} bytes")
        if len(texts) >= _BATCH or size + len(text) + len(texts) + 2 > MAX_FRAME:
            frames.append(_frame(texts))
            texts.clear()
            size = 0
        texts.append(text)
        size += len(text)
    if texts:
        frames.append(_frame(texts))
    return b"".join(frames)


def _frame(texts: list[str]) -> bytes:
    body = f"[{','.join(texts)}]".encode("ascii")
    return len(body).to_bytes(_LENGTH, "big") + body


class FeedReader:
    """Incremental reader of frames."""

    def __init__(self) -> None:
        self._received = bytearray()

    @property
    def is_inside(self) -> bool:
        """True if a frame has begun and not ended."""
        return bool(self._received)

    def feed(self, data: bytes) -> list[list[Any]]:
        """Take in bytes; return the records of the frames that they complete.

        Raises:
            FeedError: what came is no frame; nothing more may be fed.
        """
        received = self._received
        received += data
        records: list[list[Any]] = []
        start = 0
        while len(received) - start >= _LENGTH:
            size = int.from_bytes(received[start : start + _LENGTH], "big")
            if size > MAX_FRAME:
                raise FeedError(f"a frame of {size} bytes")
            end = start + _LENGTH + size
            if len(received) < end:
                break
            records += _records(bytes(received[start + _LENGTH : end]))
            start = end
        del received[:start]
        return records


def _records(body: bytes) -> list[list[Any]]:
    try:
        records = json.loads(body)
    except (ValueError, RecursionError):
        raise FeedError("a frame is not JSON") from None
    if not isinstance(records, list):
        raise FeedError("a frame is no list")
    for record in records:
        if (
            not isinstance(record, list)
            or len(record) < 2
            or not isinstance(record[0], str)
            or not isinstance(record[1], str)
        ):
            raise FeedError("a record does not begin with two words")
    return records
