"""IP headers: version, source and destination of a packet, IPv4 and IPv6."""

from typing import Final

IPV4_HEADER: Final = 20
IPV6_HEADER: Final = 40

_UNSPECIFIED: Final = (bytes(4), bytes(16))


def version_of(packet: bytes) -> int:
    """Return 4 or 6; 0 if the bytes are no packet of either."""
    if len(packet) < IPV4_HEADER:
        return 0
    version = packet[0] >> 4
    if version == 4:
        return 4
    if version == 6 and len(packet) >= IPV6_HEADER:
        return 6
    return 0


def source_of(packet: bytes, version: int) -> bytes:
    """Return the address that a packet says it comes from."""
    return packet[12:16] if version == 4 else packet[8:24]


def destination_of(packet: bytes, version: int) -> bytes:
    """Return the address that a packet goes to."""
    return packet[16:20] if version == 4 else packet[24:40]


def is_host(address: bytes) -> bool:
    """Return True if an address can be one host's beyond its own link: neither none, nor a group, nor link-local."""
    if address in _UNSPECIFIED:
        return False
    if len(address) == 4:
        return address[0] < 224
    return address[0] != 0xFF and not (address[0] == 0xFE and address[1] & 0xC0 == 0x80)
