"""What is fuzzed of the routers for jails: packets of terminals, frames and rules of networks."""

import os
import socket

from tests.fuzz.target import Target, outcome
from tests.router.jails.tuntap.packets import packet
from uwsgi_router.protocol.pty import PtyInput, PtyParser, encode_input, encode_window
from uwsgi_router.protocol.tuntap import FrameError, FrameReader, decode_rules, frame_header
from uwsgi_router.router.jails.tuntap.firewall import Firewall
from uwsgi_router.router.jails.tuntap.peer import TunPeer
from uwsgi_router.router.jails.tuntap.switch import TunSwitch


def terminal(data: bytes) -> str:
    """What a client of a forkpty router sends, whole and in pieces: the same input."""
    step = 1 + len(data) % 7
    whole = PtyParser().feed(data)
    parser = PtyParser()
    pieces = [
        event for at in range(0, len(data), step) for event in parser.feed(data[at : at + step])
    ]
    said, said_in_pieces = (
        b"".join(event.data for event in events if isinstance(event, PtyInput))
        for events in (whole, pieces)
    )
    assert said == said_in_pieces
    assert len(said) <= len(data)
    return " ".join(sorted({type(event).__name__ for event in whole}))


def device(data: bytes) -> str:
    """What a device of a tuntap router sends: nothing but its own packets comes out."""
    ours, theirs = socket.socketpair()
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, inside, outside:
        for sock in (inside, outside):
            sock.setblocking(False)
        peer = TunPeer(ours, None, greeted=True)
        switch = TunSwitch(
            inside.fileno(), Firewall(()), Firewall(()), (), None, spoofing=False,
            replaced=lambda _: None,
        )  # fmt: skip
        try:
            packets = FrameReader().feed(data)
        except FrameError as exc:
            return outcome(exc)
        reader = FrameReader()
        reader.feed(data)
        peer.stream.reader.rules = reader.rules
        try:
            peer.take_rules()
        except FrameError as exc:
            return outcome(exc)
        switch.forward(peer, packets)
        passed = 0
        while True:
            try:
                out = os.read(outside.fileno(), 65_535)
            except BlockingIOError:
                break
            passed += 1
            version = out[0] >> 4
            src = out[12:16] if version == 4 else out[8:24]
            assert src == (peer.ipv4 if version == 4 else peer.ipv6)
        stopped = peer.malformed + peer.local + peer.spoofed + peer.collision
        assert passed + stopped + peer.refused + peer.tun == len(packets)
        assert len(switch.by_address) == bool(peer.ipv4) + bool(peer.ipv6)
    return f"{min(passed, 3)} {min(stopped, 3)} {len(peer.rules) > 0}"


def rules(data: bytes) -> str:
    try:
        found = decode_rules(data)
    except FrameError as exc:
        return outcome(exc)
    assert len(found) == len(data) // 24
    return f"{min(len(found), 3)} {any(rule.matches(1, 2) for rule in found)}"


def typed(recorded: bytes) -> list[bytes]:
    return [
        encode_window(24, 80) + b"".join(encode_input(recorded[:200])) + bytes((0, 0, 0, 15)),
        bytes((0, 0, 1, 0)) + recorded[:300],
    ]


def framed(recorded: bytes) -> list[bytes]:
    packets = [packet("10.0.0.2", "10.0.0.1", recorded[:50]), packet("fd00::2", "fd00::1")]
    return [
        b"".join(frame_header(len(one)) + one for one in packets),
        bytes((0, 24, 0, 1)) + recorded[:24].ljust(24, b"\0") + frame_header(27) + packets[1][:27],
    ]


TARGETS = (
    Target("terminal", terminal, typed),
    Target("device", device, framed),
    Target("device rules", rules, lambda recorded: [recorded[:240]]),
)
