"""Conversations over one epoll: short reads and writes, ends, and programs that end by themselves."""

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.programs import ROOT
from bench.talks import Talk, Talks, at_least, discard, listener, receive, send


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def test_what_comes_in_pieces_is_put_together() -> None:
    ours, theirs = _pair()
    got: list[bytes] = []

    def reading() -> Talk:
        got.append((yield from at_least(ours, 5)))

    def writing() -> Talk:
        for byte in b"hello":
            yield from send(theirs, bytes((byte,)))
            yield select.EPOLLOUT  # the other one goes on meanwhile

    talks = Talks()
    talks.start(ours, reading())
    talks.start(theirs, writing())
    talks.run(10)
    assert got == [b"hello"]


def test_more_than_a_socket_takes_at_once_arrives() -> None:
    ours, theirs = _pair()
    size = 5_000_000
    rest: list[bytes] = []

    def reading() -> Talk:
        yield from discard(ours, size)
        rest.append((yield from receive(ours)))

    talks = Talks()
    talks.start(theirs, send(theirs, bytes(size) + b"rest"))
    talks.start(ours, reading())
    talks.run(10)
    assert rest == [b"rest"]


@pytest.mark.parametrize("reading", [at_least, discard])
def test_an_end_that_comes_too_early_is_an_error_and_no_endless_wait(reading: object) -> None:
    ours, theirs = _pair()
    theirs.sendall(b"1234")
    theirs.close()
    talks = Talks()
    with pytest.raises(ConnectionResetError, match="the connection ended"):
        talks.start(ours, reading(ours, 5))  # type: ignore[operator]
    ours.close()


def test_who_does_not_come_to_an_end_is_ended() -> None:
    ours, theirs = _pair()

    def silent() -> Talk:
        yield from receive(ours)

    talks = Talks()
    talks.start(ours, silent())
    with theirs, pytest.raises(TimeoutError, match="1 connections do not come to an end"):
        talks.run(0)
    ours.close()


def test_a_node_ends_when_its_parent_has_ended(tmp_path: Path) -> None:
    # The node is a grandchild: its parent starts it, says who it is, and ends.
    address = f"{tmp_path}/node.sock"
    code = (
        "import subprocess, sys\n"
        "command = [sys.executable, '-m', 'bench.node', sys.argv[1]]\n"
        "node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(node.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        node = os.pidfd_open(int(parent.stdout.readline()))
        try:
            while not Path(address).exists():
                assert not select.select([node], [], [], 0.02)[0], "the node ended at once"
        finally:
            parent.communicate()
    ended, _, _ = select.select([node], [], [], 20)
    os.close(node)
    assert ended


def test_a_listener_on_a_port_passes_no_delay_on(tmp_path: Path) -> None:
    with (
        listener("127.0.0.1:0") as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with listener(f"{tmp_path}/x.sock") as listening:
        assert listening.family == socket.AF_UNIX
