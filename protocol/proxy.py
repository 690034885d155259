r"""PROXY protocol, versions 1 and 2: the client's address ahead of a connection.

Version 1 is a line, ``PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n``; version 2 is binary: 12 bytes of signature,
version and command, family, length, addresses, TLVs. Source: HAProxy's "The PROXY protocol", versions 1 and 2.

Reading is strict, and the two signatures are nothing that HTTP or TLS begins with: a listener that expects a header
refuses everybody who sends none.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: A line of version 1 is never longer, with CR and LF.
MAX_V1: Final = 107
#: Bytes of addresses and TLVs in version 2. The format could say 65535; real ones have a few hundred.
MAX_V2: Final = 4096

_V1_START: Final = b"PROXY "
_V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_HEADER: Final = 16

_PORT: Final = rb"(0|[1-9][0-9]{0,4})"
_V1_ADDRESSES = re.compile(
    rb"PROXY TCP(?:(4) ([0-9.]+) ([0-9.]+)|6 ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+)) %b %b"
    % (_PORT, _PORT)
)
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*)?")
_V1_SO_FAR = re.compile(rb"[\x20-\x7e]*\r?")

_LOCAL: Final = b"\x20"
_PROXY: Final = b"\x21"
_UNSPECIFIED: Final = b"\x00"
#: Family and transport -> bytes of one address. UNIX addresses (108 bytes) are of no use to us.
_ADDRESS_SIZES: Final = {
    _UNSPECIFIED: 0,
    b"\x11": 4,
    b"\x12": 4,
    b"\x21": 16,
    b"\x22": 16,
    b"\x31": 108,
    b"\x32": 108,
}

HostPort = tuple[str, int]


class ProxyError(ValueError):
    """Error for bytes that are no PROXY header that can be believed; ``str()`` is the reason for the log."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """PROXY header, decoded.

    Attributes:
        source: the client's address and port; None if it did not say (UNKNOWN, LOCAL, a UNIX socket): then the
            socket's peer counts. An IPv4 address in IPv6 form (``::ffff:192.0.2.7``) is the IPv4 address.
        destination: what the client had connected to; None as above.
        size: bytes of the header; the connection's own bytes begin there.
    """

    source: HostPort | None
    destination: HostPort | None
    size: int


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read the header that a connection begins with, of either version.

    Args:
        data: everything that has come so far.

    Returns:
        The header, or None if more bytes are needed.

    Raises:
        ProxyError: as soon as the bytes can't become a header.
    """
    if data.startswith(_V1_START):
        return _parse_v1(data)
    if data.startswith(_V2_SIGNATURE):
        return _parse_v2(data)
    if _V1_START.startswith(data) or _V2_SIGNATURE.startswith(data):
        return None
    raise ProxyError(f"the connection begins with {data[:16]!r}, not with a PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise ProxyError(f"the PROXY line is longer than {MAX_V1} bytes")
        if not _V1_SO_FAR.fullmatch(data):
            raise ProxyError(f"the PROXY line {data[:40]!r} has bytes that don't belong there")
        return None
    line = data[:end]
    if match := _V1_ADDRESSES.fullmatch(line):
        ipv4, source4, destination4, source6, destination6, source_port, destination_port = (
            match.groups()
        )
        if ipv4:
            source, destination = source4, destination4
        else:
            source, destination = source6, destination6
        return ProxyHeader(
            (_address(source, bool(ipv4)), _port(source_port)),
            (_address(destination, bool(ipv4)), _port(destination_port)),
            end + 2,
        )
    if _V1_UNKNOWN.fullmatch(line):
        return ProxyHeader(None, None, end + 2)
    raise ProxyError(f"{line[:60]!r} is no PROXY line")


def _address(text: bytes, ipv4: bool) -> str:
    kind = ipaddress.IPv4Address if ipv4 else ipaddress.IPv6Address
    try:
        return _shown(kind(text.decode("ascii")))
    except ValueError as exc:
        raise ProxyError(
            f"{text[:40]!r} in the PROXY line is no IPv{4 if ipv4 else 6} address"
        ) from exc


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > 0xFFFF:
        raise ProxyError(f"the PROXY line has port {port}; ports end at 65535")
    return port


def _parse_v2(data: bytes) -> ProxyHeader | None:
    command, family = data[12:13], data[13:14]
    if command and command not in {_LOCAL, _PROXY}:
        raise ProxyError(
            f"the command in the PROXY header is 0x{command.hex()}; known are 0x20 and 0x21"
        )
    # The family of a LOCAL header may be anything (2.2).
    address_size = _ADDRESS_SIZES.get(family, 0) if command == _PROXY else 0
    if family and command == _PROXY and family not in _ADDRESS_SIZES:
        raise ProxyError(f"the PROXY header has the unknown address family 0x{family.hex()}")
    if len(data) < _V2_HEADER:
        return None
    length = int.from_bytes(data[14:16])
    if length > MAX_V2:
        raise ProxyError(f"the PROXY header announces {length} bytes; at most {MAX_V2} are read")
    ports = _V2_HEADER + 2 * address_size
    tlvs = ports + 4 if address_size in {4, 16} else ports
    size = _V2_HEADER + length
    if tlvs > size:
        raise ProxyError(f"{length} bytes are too few for addresses of family 0x{family.hex()}")
    if len(data) < size:
        return None
    if command == _PROXY and family != _UNSPECIFIED:
        _check_tlvs(data, tlvs, size)
    if tlvs == ports:
        return ProxyHeader(None, None, size)
    source = ipaddress.ip_address(data[_V2_HEADER : _V2_HEADER + address_size])
    destination = ipaddress.ip_address(data[_V2_HEADER + address_size : ports])
    return ProxyHeader(
        (_shown(source), int.from_bytes(data[ports : ports + 2])),
        (_shown(destination), int.from_bytes(data[ports + 2 : ports + 4])),
        size,
    )


def _check_tlvs(data: bytes, pos: int, end: int) -> None:
    """Check what follows the addresses: type (1 byte), length (2 bytes), value. None of it is used."""
    while pos < end:
        pos += 3 + int.from_bytes(data[pos + 1 : pos + 3])
    if pos != end:
        raise ProxyError(
            f"the last TLV of the PROXY header ends at byte {pos}, the header at {end}"
        )


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def encode_proxy_v1(source: HostPort | None, destination: HostPort | None) -> bytes:
    """Make a header of version 1.

    Args:
        source: the client's address and port; None makes an UNKNOWN.
        destination: what it had connected to; None makes an UNKNOWN.

    Raises:
        ProxyError: if an address or a port is none, or if the two are of different families.
    """
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    version = _packed(source, destination)[0]
    words = f"PROXY TCP{version} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n"
    return words.encode("ascii")


def encode_proxy_v2(
    source: HostPort | None,
    destination: HostPort | None,
    tlvs: Iterable[tuple[int, bytes]] = (),
) -> bytes:
    """Make a header of version 2.

    Args:
        source: the client's address and port; None makes a LOCAL header (a connection of the sender's own).
        destination: what it had connected to; None makes a LOCAL header.
        tlvs: (type, value) pairs to append.

    Raises:
        ProxyError: if an address or a port is none, the two are of different families, or it is all too long.
    """
    command, family, payload = _LOCAL, _UNSPECIFIED, b""
    if source is not None and destination is not None:
        version, payload = _packed(source, destination)
        command, family = _PROXY, b"\x11" if version == 4 else b"\x21"
    for kind, value in tlvs:
        if not 0 <= kind <= 255 or len(value) > MAX_V2:
            raise ProxyError(
                f"a TLV of type {kind} with {len(value)} bytes fits into no PROXY header"
            )
        payload += bytes((kind,)) + len(value).to_bytes(2) + value
    if len(payload) > MAX_V2:
        raise ProxyError(f"{len(payload)} bytes; a PROXY header holds at most {MAX_V2}")
    return _V2_SIGNATURE + command + family + len(payload).to_bytes(2) + payload


def _packed(source: HostPort, destination: HostPort) -> tuple[int, bytes]:
    """Return (4 or 6, both addresses and ports as version 2 has them)."""
    try:
        first, second = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
        ports = source[1].to_bytes(2) + destination[1].to_bytes(2)
    except (ValueError, OverflowError) as exc:
        raise ProxyError(f"{source} and {destination} are no addresses with ports") from exc
    if first.version != second.version:
        raise ProxyError(f"{source[0]} and {destination[0]} are of different families")
    return first.version, first.packed + second.packed + ports
