"""Packet filters of UDP sockets: classic BPF programs over source addresses, run by the kernel.

They need no privileges. A filter drops what a socket shall not get before it takes room in its buffer; a *steering*
program says which socket of a group gets a datagram (SO_REUSEPORT).
"""

import ctypes
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Final

Network = IPv4Network | IPv6Network
Instruction = tuple[int, int, int, int]

# Linux's numbers; the socket module does not name them.
SO_ATTACH_FILTER: Final = 26
SO_DETACH_FILTER: Final = 27
SO_ATTACH_REUSEPORT_CBPF: Final = 51

#: Networks of one program: the kernel bounds the memory of a socket's programs (net.core.optmem_max).
MOST: Final = 300

_LOAD_WORD: Final = 0x20
_LOAD_BYTE: Final = 0x30
_AND: Final = 0x54
_RIGHT: Final = 0x74
_JUMP: Final = 0x05
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
# Offsets from here on are those of the IP header, whatever the socket shows of the packet.
_IP_HEADER: Final = 0xFFF0_0000
_SOURCE_V4: Final = _IP_HEADER + 12
_SOURCE_V6: Final = _IP_HEADER + 8
_PACKET_TYPE: Final = 0xFFFF_F000 + 4
_TO_US: Final = 0
_ALL: Final = 0xFFFF_FFFF


def by_source(networks: Iterable[Network], inside: int, outside: int) -> list[Instruction]:
    """Return a program that returns ``inside`` for datagrams from one of the networks, else ``outside``."""
    v4: list[Instruction] = []
    v6: list[Instruction] = []
    for network in networks:
        (v4 if network.version == 4 else v6).extend(_one(network, inside))
    end: Instruction = (_RETURN, 0, 0, outside)
    return [
        (_LOAD_BYTE, 0, 0, _IP_HEADER),
        (_RIGHT, 0, 0, 4),
        (_JUMP_IF_EQUAL, 1, 0, 4),
        (_JUMP, 0, 0, len(v4) + 1),
        *v4,
        end,
        *v6,
        end,
    ]


def _one(network: Network, inside: int) -> list[Instruction]:
    """Return instructions that return ``inside`` if the source is in the network, and otherwise go on behind them."""
    start, size = (_SOURCE_V4, 32) if network.version == 4 else (_SOURCE_V6, 128)
    address, mask = int(network.network_address), int(network.netmask)
    tests: list[list[Instruction]] = []
    for at in range(0, network.prefixlen, 32):
        shift = size - 32 - at
        part: list[Instruction] = [(_LOAD_WORD, 0, 0, start + at // 8)]
        bits = mask >> shift & _ALL
        if bits != _ALL:
            part.append((_AND, 0, 0, bits))
        tests.append([*part, (_JUMP_IF_EQUAL, 0, 0, address >> shift & _ALL)])
    made: list[Instruction] = []
    left = sum(map(len, tests)) + 1
    for test in tests:
        left -= len(test)
        code, _, _, value = test[-1]
        made += [*test[:-1], (code, 0, left, value)]
    return [*made, (_RETURN, 0, 0, inside)]


def only_to_us() -> list[Instruction]:
    """Return a filter that drops broadcasts and multicasts, of which every socket of a group gets a copy."""
    return [
        (_LOAD_WORD, 0, 0, _PACKET_TYPE),
        (_JUMP_IF_EQUAL, 0, 1, _TO_US),
        (_RETURN, 0, 0, _ALL),
        (_RETURN, 0, 0, 0),
    ]


def only_from(networks: Iterable[Network]) -> list[Instruction]:
    """Return a filter that drops everything that comes from elsewhere."""
    return by_source(networks, _ALL, 0)


def attach(sock: socket.socket, option: int, program: list[Instruction]) -> None:
    """Have the kernel run ``program`` for each datagram, instead of the one before.

    Args:
        sock: bound.
        option: SO_ATTACH_FILTER or SO_ATTACH_REUSEPORT_CBPF.
        program: see above.

    Raises:
        OSError: the kernel does not take it.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    sock.setsockopt(
        socket.SOL_SOCKET, option, struct.pack("HL", len(program), ctypes.addressof(code))
    )


def detach(sock: socket.socket) -> None:
    """Have it run no filter any more.

    Raises:
        OSError: it runs none.
    """
    sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
