r"""XCLIENT: an SMTP server is told its client's address, between its greeting and the client's first command.

Source: Postfix, XCLIENT_README: ``XCLIENT ADDR=192.0.2.7\r\n``, an IPv6 address with ``IPV6:`` before it. The server
answers with another greeting. Replies: RFC 5321 section 4.2, whose lines but the last have a hyphen behind the code.
"""

import re
from ipaddress import IPv6Address, ip_address
from typing import Final

#: Bytes of a greeting, all its lines together; RFC 5321 allows 512 for one.
MAX_GREETING: Final = 4096

_LINE: Final = re.compile(rb"[0-9]{3}(?:([- ])[^\r\n]*)?\r\n")


class GreetingError(ValueError):
    """Error for bytes that are no greeting of an SMTP server; ``str()`` is the reason for the log."""


def greeting_size(data: bytes) -> int | None:
    """Return the number of bytes of the greeting that ``data`` begins with, or None if more is needed.

    Raises:
        GreetingError: it is none.
    """
    start = 0
    while True:
        end = data.find(b"\n", start) + 1
        if not end:
            if len(data) >= MAX_GREETING:
                raise GreetingError(f"its greeting is longer than {MAX_GREETING} bytes")
            return None
        line = _LINE.fullmatch(data, start, end)
        if line is None:
            raise GreetingError(f"{data[start : min(end, start + 60)]!r} is no line of a greeting")
        if line[1] != b"-":
            return end
        start = end


def welcomes(greeting: bytes) -> bool:
    """Return True if the server takes commands: a greeting may also say that it serves nobody (554)."""
    return greeting.startswith(b"2")


def xclient(host: str) -> bytes:
    """Return the command that tells a server its client's address.

    Raises:
        ValueError: ``host`` is no address.
    """
    address = ip_address(host.partition("%")[0])
    tag = "IPV6:" if isinstance(address, IPv6Address) else ""
    return f"XCLIENT ADDR={tag}{address}\r\n".encode("ascii")
