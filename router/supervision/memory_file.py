"""Memory files (memfd): values for a child, or for oneself after an exec; read at their own pace, by several."""

import os
from typing import Final

_CHUNK: Final = 1 << 20


def write_memory_file(name: str, data: bytes) -> int:
    """Return the descriptor of a new memory file; children do not inherit it unless they are to."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return descriptor


def read_memory_file(descriptor: int) -> bytes:
    """Return all that is in it; its place stays, which others may share."""
    found = bytearray()
    while chunk := os.pread(descriptor, _CHUNK, len(found)):
        found += chunk
    return bytes(found)
