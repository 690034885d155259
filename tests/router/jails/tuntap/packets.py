"""IP packets of tests."""

import ipaddress


def packet(src: str, dst: str, payload: bytes = b"payload") -> bytes:
    """A packet between two addresses of either family."""
    one, two = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if one.version == 4:
        head = bytes([0x45, 0]) + (20 + len(payload)).to_bytes(2, "big") + bytes(4)
        return head + bytes([64, 253, 0, 0]) + one.packed + two.packed + payload
    head = bytes([0x60, 0, 0, 0]) + len(payload).to_bytes(2, "big") + bytes([253, 64])
    return head + one.packed + two.packed + payload
